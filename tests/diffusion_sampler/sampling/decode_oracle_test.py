"""Decoding against a loop in plain Python, one row at a time."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.sampling import decode, rules
from tests.diffusion_sampler import support

PROMPT, ANSWER, WORDS = 3, 10, 6
MASK, END = WORDS, 0
MODEL = support.Scrambled(words=WORDS, length=PROMPT + ANSWER)


class View:
  """Statistics of one pass at the masked positions of a block."""

  def __init__(self, p, places, size, passes, begun, moved):
    self.p, self.places, self.size = p, places, size
    self.passes, self.begun, self.moved = passes, begun, moved

  def confidence(self, k):
    return self.p[k].max()

  def margin(self, k):
    last, best = np.sort(self.p[k])[-2:]
    return best - last

  def entropy(self, k):
    return -sum(q * math.log(q) for q in self.p[k])

  def ordered(self, by='confidence'):
    sign = 1 if by == 'entropy' else -1
    score = getattr(self, by)
    return sorted(self.places, key=lambda k: (sign * score(k), k))


def top_k(view, count=1, by='confidence'):
  return view.ordered(by)[:count]


def left_to_right(view, count=1):
  return view.places[:count]


def threshold(view, threshold):
  sure = [k for k in view.places if view.confidence(k) >= threshold]
  return sure or view.ordered()[:1]


def factor(view, factor):
  order = view.ordered()
  count = 1
  for n in range(2, len(order) + 1):
    ranks = range(1, n + 1)
    if all(
      (j + 1) * (1 - view.confidence(order[j - 1])) < factor for j in ranks
    ):
      count = n
  return order[:count]


def entropy_bounded(view, bound, by='entropy'):
  order = view.ordered(by)
  entropies = [view.entropy(k) for k in order]
  fits = [
    n
    for n in range(1, len(order) + 1)
    if n == 1 or sum(entropies[:n]) - max(entropies[:n]) <= bound
  ]
  return order[: max(fits)]


def llada(view, steps, by='confidence'):
  share, rest = divmod(view.begun, steps)
  return view.ordered(by)[: max(1, share + (view.passes < rest))]


def dream(view, steps, by='confidence'):
  steps = min(steps, view.size)
  if view.passes >= steps - 1:
    return view.places
  t = [1 - 0.999 * i / steps for i in range(steps + 1)]
  share = 1 - t[view.passes + 1] / t[view.passes]
  return view.ordered(by)[: math.floor(len(view.places) * share + 1e-9)]


def klass(view, confidence, divergence, passes, steps):
  ready = [
    k
    for k in view.places
    if view.confidence(k) > confidence
    and view.passes >= passes
    and all(kl[k] < divergence for kl in view.moved[-passes:])
  ]
  return ready or llada(view, steps)


RULES = {
  'top_k': top_k,
  'left_to_right': left_to_right,
  'threshold': threshold,
  'factor': factor,
  'entropy_bounded': entropy_bounded,
  'llada': llada,
  'dream': dream,
  'klass': klass,
}
# Kind, options, block and whether an answer may end.
CASES = (
  ('top_k', dict(count=2), 5, True),
  ('top_k', dict(count=3, by='entropy'), 4, False),
  ('left_to_right', dict(count=2), 3, True),
  ('threshold', dict(threshold=0.5), 4, True),
  ('threshold', dict(threshold=0.6), 12, False),
  ('factor', dict(factor=1.2), 5, True),
  ('entropy_bounded', dict(bound=0.9), 4, False),
  ('entropy_bounded', dict(bound=1.2, by='confidence'), 10, True),
  ('llada', dict(steps=3, by='margin'), 5, True),
  ('dream', dict(steps=3), 5, True),
  ('dream', dict(steps=6), 4, False),
  ('klass', dict(confidence=0.4, divergence=1.5, passes=1, steps=5), 5, False),
  ('klass', dict(confidence=0.3, divergence=2.5, passes=2, steps=9), 10, True),
)


def probabilities(tokens):
  z = MODEL.logits(tokens)[PROMPT:, :WORDS].astype(np.float64)
  e = np.exp(z - z.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def play(name, options, block, end, prompt, given):
  """Answer, passes and order of one row."""
  answer, nfe = list(given), 0
  order = [-2 if a == MASK else -1 for a in given]
  before, moved, sizes = None, [], []
  for begin in range(0, ANSWER, block):
    inside = range(begin, min(begin + block, ANSWER))
    begun = sum(answer[k] == MASK for k in inside)
    for passes in range(len(inside)):
      places = [k for k in inside if answer[k] == MASK]
      if not places:
        break
      p = probabilities([*prompt, *answer])
      if before is not None:
        moved.append((p * np.log(p / before)).sum(-1))
      before = p
      view = View(p, places, len(inside), passes, begun, moved)
      chosen = RULES[name](view, **options)
      sizes.append(len(chosen))
      for k in chosen:
        answer[k], order[k] = int(p[k].argmax()), nfe
      nfe += 1
      if not end:
        continue
      known = answer.index(MASK) if MASK in answer else ANSWER
      if END in answer[:known]:
        for k in range(known, ANSWER):
          if answer[k] == MASK:
            answer[k], order[k] = END, -3
        return answer, nfe, order, sizes
  return answer, nfe, order, sizes


class OracleTest(support.SamplerTestCase):
  @parameterized.parameters(*CASES)
  def test_equals_the_loop(self, name, options, block, end):
    rng = np.random.default_rng(0)
    batch = 24
    prompts = rng.integers(0, WORDS, (batch, PROMPT))
    given = np.full((batch, ANSWER), MASK)
    # Half of the rows have something given, two of them have it all.
    partly = rng.random((batch, ANSWER)) < rng.random((batch, 1))
    partly[: batch // 2] = False
    partly[-2:] = True
    given[partly] = rng.integers(1, WORDS, partly.sum())
    lay = support.layout(
      ANSWER, block, MASK, prompt=PROMPT, eos_id=END if end else None
    )

    @jax.jit
    def run(keys):
      return decode.sample(
        MODEL.denoiser(),
        rules.KINDS[name](**options),
        lay,
        jnp.asarray(prompts),
        keys,
        given=jnp.asarray(given),
      )

    out = run(support.keys(batch))
    sizes = []
    for row in range(batch):
      answer, nfe, order, chosen = play(
        name, options, block, end, prompts[row].tolist(), given[row].tolist()
      )
      sizes += chosen
      self.assertEqual(out.answer[row].tolist(), answer, row)
      self.assertEqual(int(out.nfe[row]), nfe, row)
      self.assertEqual(out.order[row].tolist(), order, row)
    self.assertFalse(out.failed.any())
    self.assertEqual(out.nfe[-2:].tolist(), [0, 0])
    # The cases are worth their while: more than one set size was met.
    self.assertGreater(len(set(sizes)), 1)


if __name__ == '__main__':
  absltest.main()
