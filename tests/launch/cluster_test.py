"""Runs on clusters: examples that work, exit statuses that are obeyed."""

import configparser
import importlib.util
import os
import pathlib
import re
import subprocess
import tempfile

import ml_collections
import yaml
from absl.testing import absltest, parameterized

from engine import stop
from launch import cli
from tests.files import ROOT

CLUSTER = ROOT / 'launch' / 'cluster'
_KEY = re.compile(r'--config\.(?!key\b)([a-z]\w*(?:\.\w+)*)')
_CONFIG = re.compile(r'(configs/\w+/\w+\.py|(?<=--config=)\w+/\w+)(:\w+)?')


def documents():
  """Whatever shows a command to a reader."""
  yield from sorted(CLUSTER.iterdir())
  yield from (ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'Makefile')
  yield from sorted((ROOT / 'docs').rglob('*.md'))
  for package in ('launch', 'configs', 'benchmarks'):
    yield from sorted((ROOT / package).rglob('*.py'))


def commands(text: str) -> list[str]:
  """Lines that give keys of a config, continued ones as one."""
  joined = re.sub(r'\\\n[#\s]*', ' ', text)
  return [line for line in joined.splitlines() if _KEY.search(line)]


def load(name: str, argument: str) -> ml_collections.ConfigDict:
  path = cli.config_path(name)
  spec = importlib.util.spec_from_file_location('shown', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(argument) if argument else module.get_config()


def has(config, key: str) -> bool:
  """Whether `key` may be set; below a typed mapping anything may."""
  for name in key.split('.'):
    if not isinstance(config, ml_collections.ConfigDict) or name not in config:
      return False
    config = config[name]
  return True


def shipped():
  for path in sorted((ROOT / 'configs').glob('*/*.py')):
    if path.name not in ('__init__.py', 'common.py'):
      yield load(str(path), '')


class ExamplesTest(absltest.TestCase):
  def test_commands_are_found_with_their_configs(self):
    text = '#  run.sh configs/a/b.py:c \\\n#     --config.x.y=1\nelse\n'
    (line,) = commands(text)
    self.assertEqual(_KEY.findall(line), ['x.y'])
    self.assertEqual(_CONFIG.search(line).groups(), ('configs/a/b.py', ':c'))
    self.assertEqual(_CONFIG.search('--config=a/b --').groups(), ('a/b', None))

  def test_every_key_that_is_shown_is_one_of_its_config(self):
    every, count = list(shipped()), 0
    for path in documents():
      for line in commands(path.read_text('utf-8')):
        found = _CONFIG.search(line)
        named = [load(found[1], (found[2] or '')[1:])] if found else every
        for key in _KEY.findall(line):
          count += 1
          with self.subTest(f'{path.relative_to(ROOT)}: {line.strip()}'):
            self.assertTrue(any(has(config, key) for config in named), key)
    self.assertGreater(count, 20)


class StatusTest(parameterized.TestCase):
  @parameterized.parameters(
    (0, '', False),
    (1, '', False),
    (2, '', False),
    (stop.STATUS, '', True),
    (128 + 15, '3', True),
    (stop.STATUS, '100', False),
  )
  def test_slurm_requeues_what_was_stopped(self, status, restarts, requeued):
    with tempfile.TemporaryDirectory() as made:
      folder = pathlib.Path(made)
      for name, body in (
        ('srun', f'exit {status}'),
        ('scontrol', f'echo "$@" > {folder}/asked'),
      ):
        (folder / name).write_text(f'#!/bin/sh\n{body}\n')
        (folder / name).chmod(0o755)
      env = os.environ | {
        'PATH': f'{folder}:{os.environ["PATH"]}',
        'SLURM_JOB_ID': '17',
        'SLURM_RESTART_COUNT': restarts,
      }
      done = subprocess.run(
        ['bash', str(CLUSTER / 'slurm.sbatch'), 'config', 'workdir'], env=env
      )
      self.assertEqual(done.returncode, status)
      asked = folder / 'asked'
      self.assertEqual(asked.exists(), requeued)
      if requeued:
        self.assertEqual(asked.read_text().split(), ['requeue', '17'])

  def test_gke_gives_up_after_bad_input_and_after_nothing_else(self):
    job = yaml.safe_load((CLUSTER / 'gke_jobset.yaml').read_text('utf-8'))
    policy = job['spec']['failurePolicy']
    self.assertGreater(policy['maxRestarts'], 0)
    (rule,) = policy['rules']
    self.assertEqual(rule['action'], 'FailJobSet')
    self.assertEqual(rule['onJobFailureReasons'], ['PodFailurePolicy'])
    (slices,) = job['spec']['replicatedJobs']
    spec = slices['template']['spec']
    (rule,) = spec['podFailurePolicy']['rules']
    self.assertEqual(rule['action'], 'FailJob')
    self.assertEqual(rule['onExitCodes']['values'], [2])
    # What Kubernetes asks for where a policy looks at exit codes.
    pod = spec['template']['spec']
    self.assertEqual(pod['restartPolicy'], 'Never')
    (container,) = pod['containers']
    self.assertEqual(rule['onExitCodes']['containerName'], container['name'])

  def test_the_status_is_documented(self):
    for path in (
      ROOT / 'CONTRIBUTING.md',
      CLUSTER / 'gke_jobset.yaml',
      CLUSTER / 'slurm.sbatch',
      CLUSTER / 'tpu_vm.sh',
    ):
      self.assertIn(str(stop.STATUS), path.read_text('utf-8'))
      self.assertNotIn('exits 0', path.read_text('utf-8'))

  def test_the_scripts_are_part_of_an_installed_package(self):
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    patterns = re.findall(r'\*\.\w+', setup['options.package_data']['*'])
    for path in CLUSTER.iterdir():
      if path.is_file() and path.suffix != '.py':
        self.assertTrue(any(map(path.match, patterns)), path)


if __name__ == '__main__':
  absltest.main()
