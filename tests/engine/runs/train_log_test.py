"""What an interval gathers, and that it survives a checkpoint."""

import json
from unittest import mock

import numpy as np
from absl.testing import absltest

from engine import checkpoint, metrics
from engine.runs import train_log


def values(total, count, *, norm, tokens=3.0):
  return {
    'loss': metrics.Mean(total=np.float32(total), count=np.float32(count)),
    'norm': np.float32(norm),
    'tokens': np.float32(tokens),
  }


class IntervalTest(absltest.TestCase):
  def test_merges_means_sums_tokens_and_keeps_the_last_of_others(self):
    log = train_log.Interval()
    log.add(values(4.0, 1.0, norm=7.0))
    log.add(values(2.0, 3.0, norm=5.0))
    self.assertEqual(
      log.take(), {'train/loss': 1.5, 'train/norm': 5.0, 'train/tokens': 6.0}
    )
    self.assertEqual(log.take(), {})

  def test_leaves_out_a_mean_of_nothing(self):
    log = train_log.Interval()
    log.add(values(0.0, 0.0, norm=1.0))
    self.assertNotIn('train/loss', log.take())

  def test_goes_on_bit_for_bit_from_json(self):
    one, other = train_log.Interval(), train_log.Interval()
    rng = np.random.default_rng(0)
    steps = [values(*rng.random(2), norm=rng.random()) for _ in range(6)]
    for step in steps[:4]:
      one.add(step)
    saved = json.loads(json.dumps(checkpoint.jsonable(one.state())))
    other.set_state(saved)
    for step in steps[4:]:
      one.add(step)
      other.add(step)
    self.assertEqual(one.take(), other.take())

  def test_rates_leave_out_the_pause_and_the_time_between_processes(self):
    clock = 100.0
    with mock.patch.object(train_log.time, 'monotonic', lambda: clock):
      log = train_log.Interval()
      clock += 5
      log.pause()
      clock += 2
      log.add(values(1.0, 1.0, norm=1.0, tokens=8.0))
      log.take()
      clock += 1
      log.add(values(1.0, 1.0, norm=1.0, tokens=8.0))
      state = checkpoint.jsonable(log.state())
      clock += 1000
      again = train_log.Interval()
      again.set_state(state)
      clock += 3
      again.add(values(1.0, 1.0, norm=1.0, tokens=8.0))
      again.take()
    self.assertEqual(log.rates, [8 / 2])
    self.assertEqual(again.rates, [8 / 2, 16 / 4])


if __name__ == '__main__':
  absltest.main()
