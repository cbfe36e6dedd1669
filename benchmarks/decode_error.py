"""What a number type changes beside another: log-probabilities, text, answers.

The first type is the reference, models are held one at a time:

- `kl`: of the next token after 32 tokens of an article, in nats;
- `mean_abs_logprob`: of the tokens that the reference draws greedily there;
- `first_token_equal`, `tokens_equal`: greedy tokens that are the same;
- `perplexity`: of the first 128 tokens of articles;
- `capitals`: share of 100 questions for a capital that the answer
  says in its first line, after examples.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from corpora.questions import grading, tasks
from corpora.text import sources
from lm.checkpoints import decoder
from lm.decoding import generate, scoring

ARTICLES, PREFIX, NEW, LENGTH = 16, 32, 32, 128
QUESTIONS = 100


def compare(model: str, types: Sequence[str]) -> dict[str, float]:
  """Figures 'error_<type>/...' of each but the first; absolute ones of all."""
  first, *others = types
  want = _of(model, first, None)
  out = _absolute(first, want)
  for dtype in others:
    got = _of(model, dtype, want['tokens'])
    p = np.exp(want['next'])
    same = got['tokens'] == want['tokens']
    kl = (p * (want['next'] - got['next'])).sum(-1).mean()
    found = {
      'kl': kl,
      'mean_abs_logprob': np.abs(got['logprobs'] - want['logprobs']).mean(),
      'first_token_equal': same[:, 0].mean(),
      'tokens_equal': same.mean(),
    }
    out |= {f'error_{dtype}/{name}': float(x) for name, x in found.items()}
    out |= _absolute(dtype, got)
  return out


def _absolute(dtype, found):
  return {f'{n}/{dtype}': float(found[n]) for n in ('perplexity', 'capitals')}


def _of(name: str, dtype: str, drawn: np.ndarray | None) -> dict:
  """What one type says; `drawn` [B, NEW] are the tokens whose sides compare."""
  model = decoder.open_decoder(name, dtype=dtype)
  pair = model.config, model.params
  documents = sources.open('wiki_summaries', 'test')
  ids = (model.tokenizer.encode(document['text']) for document in documents)
  long = (text[:LENGTH] for text in ids if len(text) >= LENGTH)
  articles = list(itertools.islice(long, ARTICLES))
  prompts = [text[:PREFIX] for text in articles]
  tokens = generate.greedy(*pair, prompts, max_new_tokens=NEW).tokens[:, 0]
  scored = tokens if drawn is None else drawn
  continued = scoring.score(*pair, prompts, [[row] for row in scored.tolist()])
  whole = scoring.score(
    *pair, [text[:1] for text in articles], [[text[1:]] for text in articles]
  )
  logprobs = np.concatenate([np.asarray(s[0].logprobs) for s in whole])
  return {
    'next': scoring.next_logprobs(*pair, prompts).astype(np.float64),
    'tokens': tokens,
    'logprobs': np.array([s[0].logprobs for s in continued]),
    'perplexity': np.exp(-logprobs.mean(dtype=np.float64)),
    'capitals': _capitals(model),
  }


def _capitals(model: decoder.Decoder) -> float:
  task = tasks.load('capital', count=QUESTIONS, seed=0)
  prompts = [
    model.tokenizer.encode(tasks.prompt(task, question))
    for question in task.questions
  ]
  out = generate.greedy(model.config, model.params, prompts, max_new_tokens=12)
  answers = [
    model.tokenizer.decode(row.tolist()).strip().split('\n')[0]
    for row in out.tokens[:, 0]
  ]
  return float(
    np.mean(
      [
        grading.contains(answer, question.answers)
        for question, answer in zip(task.questions, answers, strict=True)
      ]
    )
  )
