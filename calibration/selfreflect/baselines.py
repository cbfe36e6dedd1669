"""Other ways to say whether a summary is good, beside the metric (section 3.6).

  rouge      ROUGE-L recall of the told answers in the summary, their mean
  embedding  cosine of sentence embeddings with the told answers, their mean
  judge      P(yes) of a judge that sees the told answers and the summary
  ptrue      SelfReflect with one question an answer for its gaps: may it be an
             answer? The distance of the judge's two P(yes), their mean

Names are the paper's where it names them; wordings and formulas are ours. Here
a lower value is better, as with the metric: similarities are taken from 1.

Shapes: S summaries; T told answers.
"""

import collections
from collections.abc import Callable, Sequence

import numpy as np

from calibration.correctness import lexical
from calibration.selfreflect import conversation
from lm.checkpoints import decoder
from lm.decoding import scoring
from lm.judging import turns

NAMES = ('rouge', 'embedding', 'judge', 'ptrue')
_RATE = (
  'Question: {question}\n\nThese answers were given to it:\n{answers}\n\nA '
  'summary of them is: {summary}\n\nDoes the summary say what the answers are '
  'and how frequent each is, and nothing else? Reply with yes or no.'
)
_MAY = (
  'May this be another answer to the question above? Decide only by the '
  '{given} that you gave above, and reply with yes or no.\nThe answer: {text}'
)
# Texts to embeddings [S, D].
Sentences = Callable[[list[str]], np.ndarray]


def rouge(summaries: Sequence[str], told: Sequence[str]) -> np.ndarray:
  """[S]: 1 less the mean recall of each told answer."""
  often = collections.Counter(told)
  total = np.zeros(len(summaries))
  for answer, count in often.items():
    total += count * np.array(
      [lexical.rougel_recall(summary, answer) for summary in summaries]
    )
  return 1.0 - total / len(told)


def embedding(
  summaries: Sequence[str], told: Sequence[str], sentences: Sentences
) -> np.ndarray:
  """[S]: 1 less the mean cosine with the told answers."""
  often = collections.Counter(told)
  vectors = np.asarray(sentences([*summaries, *often]), np.float64)
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  mine, theirs = vectors[: len(summaries)], vectors[len(summaries) :]
  weights = np.array(list(often.values())) / len(told)
  return 1.0 - mine @ theirs.T @ weights


def _yes(model: decoder.Decoder, conversations, batch: int) -> np.ndarray:
  """P(yes) of each, of yes and no."""
  tokenizer = model.tokenizer
  prompts = [turns.ids(tokenizer, one) for one in conversations]
  choices = [
    scoring.spellings(lambda t: tokenizer.encode(t, add_bos=False), word)
    for word in ('yes', 'no')
  ]
  return scoring.choice_probs(
    model.config, model.params, prompts, choices, batch=batch
  ).probs[:, 0]


def judge(
  model: decoder.Decoder,
  question: str,
  summaries: Sequence[str],
  told: Sequence[str],
  *,
  batch: int = 8,
) -> np.ndarray:
  """[S]: 1 less P(yes)."""
  texts = [
    _RATE.format(
      question=question, answers=conversation.listed(told), summary=summary
    )
    for summary in summaries
  ]
  system = {'role': 'system', 'content': conversation.SYSTEM}
  asked = [[system, {'role': 'user', 'content': text}] for text in texts]
  return 1.0 - _yes(model, asked, batch)


def ptrue(
  model: decoder.Decoder,
  question: str,
  summaries: Sequence[str],
  masked: Sequence[str],
  told: Sequence[str],
  *,
  batch: int = 8,
) -> np.ndarray:
  """[S]: mean over the masked answers of |P(yes | summary) - P(yes | told)|."""
  often = collections.Counter(masked)
  contexts = [
    conversation.reference(told),
    *map(conversation.Context, summaries),
  ]
  asked = [
    conversation.turns(
      question,
      context,
      _MAY.format(given=conversation.named(context), text=text),
    )
    for context in contexts
    for text in often
  ]
  p = _yes(model, asked, batch).reshape(len(contexts), len(often))
  return np.abs(p[1:] - p[0]) @ np.array(list(often.values())) / len(masked)
