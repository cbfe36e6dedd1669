"""What a model and a judge are asked (docs/papers/hle.md, sections 4 and 5).

The content is the official scripts', the wording is ours, so figures are not
those of the official protocol: `NOTE` says so in every results file.
"""

from collections.abc import Sequence
from typing import Any

from calibration.hle import data, parse
from corpora.questions import grading

NOTE = (
  'prompts with the content of the official ones in other words; compare with '
  'published figures only as far as that'
)
SYSTEM = (
  'Reply in three labelled parts.\n'
  'Explanation: why you choose your answer\n'
  'Answer: the answer alone\n'
  'Confidence: how sure you are of it, from 0% to 100%'
)
_JUDGE = (
  'Judge whether a response to a question is correct, by the right answer '
  'below and by nothing else.\n\n'
  'Question: {question}\n\nResponse: {response}\n\nRight answer: {answer}\n\n'
  'Reply with a JSON object of five keys:\n'
  '"extracted_final_answer": the final answer of the response, or "None";\n'
  '"reasoning": in what it differs from the right answer, if in anything; do '
  'not solve the question, do not argue for another answer;\n'
  '"correct": "yes" if they agree, or numbers differ by a small margin, '
  'else "no", also where anything is ambiguous;\n'
  '"confidence": the confidence that the response states, 0 to 100, or 100;\n'
  '"strict": true'
)
# A number may be so far from the right one, relatively, for the keyless judge.
TOLERANCE = 1e-2


def question(item: data.Item) -> list[dict[str, Any]]:
  """Messages to the model; a picture follows the text where there is one."""
  content: Any = item.question
  if item.image:
    content = [
      {'type': 'text', 'text': item.question},
      {'type': 'image_url', 'image_url': {'url': item.image}},
    ]
  return [
    {'role': 'system', 'content': SYSTEM},
    {'role': 'user', 'content': content},
  ]


def judge(item: data.Item, response: str) -> str:
  """The question to the judge; it sees text alone."""
  return _JUDGE.format(
    question=item.question, response=response, answer=item.answer
  )


def by_rules(item: data.Item, response: str) -> parse.Judgement:
  """The keyless judge: letters, numbers and words; not comparable with another.

  A response without an answer line is wrong: there is nothing to compare.
  """
  stated = parse.confidence(response).value
  said = parse.answer(response)
  if said is None:
    return parse.Judgement(False, stated)
  if item.answer_type == 'multipleChoice':
    right = parse.letter(said) == item.answer.strip().upper()
  else:
    right = _same(said, item.answer)
  return parse.Judgement(right, stated, said)


def _same(said: str, answer: str) -> bool:
  want: Sequence[float] = grading.numbers(answer)
  if grading.asks_number((answer,)) and len(want) == 1:
    found = grading.numbers(said)
    return len(found) == 1 and (
      abs(found[0] - want[0]) <= TOLERANCE * abs(want[0])
    )
  return grading.normalise(said) == grading.normalise(answer) != ''
