"""SIGTERM is obeyed at safe points, and the exit status says so."""

import os
import signal
import socket
import subprocess
import sys
import threading

from absl.testing import absltest

from engine import stop
from tests import files

# One process of a job of one: JAX's service has the signal, not Python.
_JOB = """
import os, signal, sys, time
import jax
from engine import stop
jax.config.update('jax_platforms', 'cpu')
try:
  with stop.immediate():
    jax.distributed.initialize(sys.argv[1], 1, 0)
    with stop.deferred():
      stop.check()
      stop.check_together()
      os.kill(os.getpid(), signal.SIGTERM)
      end = time.monotonic() + 30
      while not stop.asked() and time.monotonic() < end:
        time.sleep(0.05)
      stop.check_together()
except stop.Interrupted:
  stop.leave(5.0)
  raise
"""
# Its way out never ends: atexit calls what came last first.
_STUCK = """
import atexit, sys, time
from engine import stop
stop._job = object
stop.leave(0.1)
atexit.register(time.sleep, 60)
sys.exit(3)
"""


def ask():
  os.kill(os.getpid(), signal.SIGTERM)


class StopTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    before = signal.getsignal(signal.SIGTERM)
    self.addCleanup(
      lambda: self.assertEqual(signal.getsignal(signal.SIGTERM), before)
    )
    self.addCleanup(lambda: self.assertFalse(stop.asked()))

  def test_deferred_waits_for_the_next_check(self):
    done = []
    with self.assertRaises(stop.Interrupted) as caught, stop.deferred():
      for item in range(5):
        stop.check()
        if item == 2:
          ask()
        done.append(item)
    self.assertEqual(done, [0, 1, 2])
    self.assertEqual(caught.exception.code, 75)

  def test_immediate_raises_where_the_signal_finds_it(self):
    done = []
    with self.assertRaises(stop.Interrupted), stop.immediate():
      ask()
      done.append(0)
    self.assertEmpty(done)

  def test_a_request_outlives_the_block_in_which_nobody_obeyed_it(self):
    with self.assertRaises(stop.Interrupted), stop.immediate():
      with stop.deferred():
        ask()  # the last item of one run of many
      with stop.deferred():
        stop.check()

  def test_a_thread_leaves_the_signal_alone(self):
    found = []

    def work():
      with stop.deferred():
        found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    self.assertEqual(found, [before])

  def test_every_kind_of_except_lets_it_pass(self):
    with self.assertRaises(stop.Interrupted), stop.deferred():
      try:
        ask()
        stop.check()
      except Exception:
        self.fail('an interrupted item was taken for a failed one')

  def test_says_how_to_go_on(self):
    self.assertRegex(str(stop.Interrupted(7)), 'after step 7.*same command')
    self.assertNotIn('step', str(stop.Interrupted()))

  def test_in_a_job_the_notice_of_its_service_counts(self):
    with socket.socket() as free:
      free.bind(('127.0.0.1', 0))
      address = f'127.0.0.1:{free.getsockname()[1]}'
    done = subprocess.run(
      [sys.executable, '-c', _JOB, address],
      cwd=files.ROOT,
      capture_output=True,
      text=True,
      timeout=120,
    )
    self.assertEqual(done.returncode, stop.STATUS, done.stderr)

  def test_leaves_where_the_way_out_never_ends(self):
    done = subprocess.run(
      [sys.executable, '-c', _STUCK], cwd=files.ROOT, timeout=50
    )
    self.assertEqual(done.returncode, stop.STATUS)


if __name__ == '__main__':
  absltest.main()
