"""What the judge reads for one masked word (section 3.4), in our own words.

Four turns: the question, what was said about it, the answer with a gap, and
the word that was there. In the reference context the second turn lists sampled
answers, and two places of the prompt say so; with `same_prompt` these places
are the same in both, so that a summary which is that list scores exactly 0.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from calibration.selfreflect import masking
from lm.checkpoints import pretrained_tokenizer
from lm.judging import turns as turns_lib

SYSTEM = 'You are a friendly chatbot. Your replies are short and concise.'
_MANY = 'Sample {count} answers to this question.'
_FILL = (
  'In another answer to the question above one word is replaced by "{gap}". '
  'Which word is it? Decide only by the {given} that you gave above, and reply '
  'with the missing word alone.\nThe answer with the gap: {text}'
)
_ONE, _ALL = 'answer', 'distribution of answers'

Messages = list[dict[str, Any]]


class Context(NamedTuple):
  """What the judge is told before it fills gaps.

  Attributes:
    given: a summary, or a list of answers.
    answers: how many answers it lists; 0 for a summary.
  """

  given: str
  answers: int = 0


def listed(answers: Sequence[str]) -> str:
  """Answers a line each, as both sides show them: x_1 = '...'."""
  return '\n'.join(
    f"x_{number} = '{answer}'" for number, answer in enumerate(answers, 1)
  )


def reference(answers: Sequence[str]) -> Context:
  """The context of the answers themselves."""
  return Context(listed(answers), len(answers))


def named(context: Context) -> str:
  """What the judge is said to have given."""
  return _ALL if context.answers else _ONE


def turns(question: str, context: Context, last: str) -> Messages:
  """A conversation that ends with `last`, which the judge shall answer."""
  asked = question
  if context.answers:
    asked += '\n' + _MANY.format(count=context.answers)
  return [
    {'role': 'system', 'content': SYSTEM},
    {'role': 'user', 'content': asked},
    {'role': 'assistant', 'content': context.given},
    {'role': 'user', 'content': last},
  ]


def messages(question: str, context: Context, task: masking.Masked) -> Messages:
  """All turns before the judge's word."""
  fill = _FILL.format(gap=masking.GAP, given=named(context), text=task.text)
  return turns(question, context, fill)


class Filled(NamedTuple):
  """Ids of a conversation with its word, and where the word's tokens are.

  Attributes:
    ids: up to the last token of the word.
    start: the first token that holds a character of the word. What predicts
      the tokens from there on are the positions `start - 1` and after.
  """

  ids: list[int]
  start: int

  @property
  def word(self) -> list[int]:
    return self.ids[self.start :]


def fill(
  tokenizer: pretrained_tokenizer.CheckpointTokenizer,
  texts: Sequence[str],
  words: Sequence[str],
) -> list[Filled]:
  """Conversations with their words, in tokens.

  The word's tokens are those that hold one of its characters: a first token
  that merges with the end of the template counts too. A word that the
  tokenizer leaves out has none.

  Args:
    tokenizer: the judge's.
    texts: of `lm.judging.turns.render`.
    words: one a text.
  """
  whole = [text + word for text, word in zip(texts, words, strict=True)]
  bos = turns_lib.lead(tokenizer)
  out = []
  for text, (ids, ends) in zip(
    texts, tokenizer.encode_ends(whole), strict=True
  ):
    # The first token that ends behind the text.
    start = next((i for i, e in enumerate(ends) if e > len(text)), len(ids))
    out.append(Filled([*bos, *ids], len(bos) + start))
  return out
