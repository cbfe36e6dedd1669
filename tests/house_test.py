"""The rules of the house, read from the sources: who may import whom."""

import ast
import configparser
import functools
import importlib
import importlib.util
import re

import ml_collections
from absl.testing import absltest

from tests.files import ROOT

ORDER = ('engine', 'lm', 'corpora')  # a room imports what stands to its left
AREAS = {'agents', 'calibration', 'diffusion_sampler', 'lacy', 'probes'}
OTHERS = {'benchmarks', 'configs', 'launch', 'tests'}
BASE = set(ORDER)
HOUSE = BASE | AREAS | OTHERS
MAY_IMPORT = {
  **{name: set(ORDER[: i + 1]) for i, name in enumerate(ORDER)},
  **{name: BASE | {name} for name in AREAS},
  'launch': BASE | AREAS | {'launch', 'configs'},
  'benchmarks': HOUSE - {'tests'},
}
PICKLES = {'cloudpickle', 'dill', 'joblib', 'marshal', 'pickle', 'shelve'}


def sources(*packages):
  for package in packages:
    yield from sorted((ROOT / package).rglob('*.py'))


@functools.cache
def imports(source: str) -> set[str]:
  """Dotted names of every module that `source` may import, nested ones too."""
  found = set()
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      if node.level:
        found.add('.' * node.level)
      else:
        found |= {f'{node.module}.{alias.name}' for alias in node.names}
  return found


def unsafe(source: str) -> list[str]:
  """What in `source` could run what a file says."""
  found = sorted({name.split('.')[0] for name in imports(source)} & PICKLES)
  for node in ast.walk(ast.parse(source)):
    if not isinstance(node, ast.Call):
      continue
    if isinstance(node.func, ast.Name) and node.func.id in ('eval', 'exec'):
      found.append(node.func.id)
    for keyword in node.keywords:
      refused = isinstance(keyword.value, ast.Constant) and not (
        keyword.value.value
      )
      if keyword.arg == 'allow_pickle' and not refused:
        found.append('allow_pickle')
  return found


def setup_list(section: str, option: str) -> list[str]:
  parser = configparser.ConfigParser()
  parser.read(ROOT / 'setup.cfg')
  lines = parser[section][option].splitlines()
  return [line.strip() for line in lines if line.strip()]


class ReadersTest(absltest.TestCase):
  """The helpers above see what they should: a rule that cannot fail is none."""

  def test_imports_are_found_wherever_they_stand(self):
    source = (
      'import a.b as c, d\nfrom e import f, g\nfrom . import h\n'
      'def j():\n  from k.l import m\n'
    )
    self.assertEqual(imports(source), {'a.b', 'd', 'e.f', 'e.g', '.', 'k.l.m'})

  def test_unsafe_calls_are_found(self):
    self.assertEqual(unsafe('import pickle'), ['pickle'])
    self.assertEqual(unsafe('from pickle import loads'), ['pickle'])
    self.assertEqual(unsafe('x = eval(text)'), ['eval'])
    self.assertEqual(unsafe('np.load(f, allow_pickle=True)'), ['allow_pickle'])
    self.assertEmpty(unsafe('np.load(f, allow_pickle=False); m.eval(x)'))


def file_imports() -> dict[str, set[str]]:
  """{module: modules of ours that it imports}, wherever the import stands."""
  modules = {
    '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix(
      '.__init__'
    ): path
    for path in sources(*HOUSE)
  }
  found = {}
  for name, path in modules.items():
    asked = set()
    for dotted in imports(path.read_text('utf-8')):
      # `from package import module`, or `from module import name`.
      here = dotted if dotted in modules else dotted.rpartition('.')[0]
      if here in modules and here != name:
        asked.add(here)
    found[name] = asked
  return found


def circle(graph: dict[str, set[str]]) -> list[str]:
  """The names along one circle of `graph`; empty where there is none."""
  done, path = set(), []

  def visit(name) -> list[str]:
    if name in path:
      return [*path[path.index(name) :], name]
    if name in done:
      return []
    path.append(name)
    for other in sorted(graph.get(name, ())):
      if found := visit(other):
        return found
    path.pop()
    done.add(name)
    return []

  for name in sorted(graph):
    if found := visit(name):
      return found
  return []


class ImportsTest(absltest.TestCase):
  def test_a_circle_is_found(self):
    self.assertEqual(circle({'a': {'b'}, 'b': {'c'}, 'c': {'b'}}), list('bcb'))
    self.assertEmpty(circle({'a': {'b', 'c'}, 'b': {'c'}}))

  def test_no_file_imports_itself_through_others(self):
    graph = file_imports()
    self.assertIn('engine.experiment', graph['lacy.experiment'])
    self.assertEmpty(circle(graph))

  def test_packages_import_only_what_lies_below_them(self):
    for package, allowed in MAY_IMPORT.items():
      for path in sources(package):
        tops = {name.split('.')[0] for name in imports(path.read_text('utf-8'))}
        with self.subTest(str(path.relative_to(ROOT))):
          self.assertEmpty(tops & HOUSE - allowed)

  def test_configs_import_only_ml_collections_and_common(self):
    allowed = re.compile(
      r'(ml_collections|typing|collections\.abc|configs\.(\w+\.)?common)\b'
    )
    for path in sources('configs'):
      with self.subTest(str(path.relative_to(ROOT))):
        others = {
          name
          for name in imports(path.read_text('utf-8'))
          if not allowed.match(name)
        }
        self.assertEmpty(others)

  def test_product_code_runs_nothing_that_a_file_says(self):
    for path in sources(*HOUSE - {'tests'}):
      with self.subTest(str(path.relative_to(ROOT))):
        self.assertEmpty(unsafe(path.read_text('utf-8')))


class PagesTest(absltest.TestCase):
  """What pages, docstrings and comments name is there."""

  def test_every_file_that_is_named_exists(self):
    rooms = '|'.join(sorted(HOUSE | {'colabs', 'docs'}))
    named = re.compile(
      rf'(?<![\w/.])((?:{rooms})/[\w/-]+\.(?:py|md|sh|toml|yaml|sbatch|png))\b'
    )
    pages = [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md')]
    for path in [*pages, *sources(*HOUSE - {'tests'})]:
      for name in named.findall(path.read_text('utf-8')):
        with self.subTest(f'{path.relative_to(ROOT)}: {name}'):
          self.assertTrue((ROOT / name).exists())

  def test_the_code_on_pages_imports_what_exists(self):
    for path in [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md')]:
      for code in re.findall(
        r'```python\n(.*?)```', path.read_text('utf-8'), re.DOTALL
      ):
        for name in imports(code):
          with self.subTest(f'{path.relative_to(ROOT)}: {name}'):
            module, _, attribute = name.rpartition('.')
            if name.split('.')[0] in HOUSE:
              found = importlib.import_module(module)
              try:
                getattr(found, attribute)
              except AttributeError:
                importlib.import_module(name)


class FilesTest(absltest.TestCase):
  def test_every_module_says_what_it_is(self):
    for path in sources(*HOUSE):
      source = path.read_text('utf-8')
      if path.parts[-1] == '__init__.py' and not source.strip():
        continue
      with self.subTest(str(path.relative_to(ROOT))):
        self.assertTrue(ast.get_docstring(ast.parse(source)))

  def test_every_public_name_of_a_package_is_there(self):
    for path in sources(*HOUSE - {'tests'}):
      if path.name != '__init__.py':
        continue
      package = '.'.join(path.parent.relative_to(ROOT).parts)
      module = importlib.import_module(package)
      for name in getattr(module, '__all__', ()):
        with self.subTest(f'{package}.{name}'):
          self.assertFalse((path.parent / f'{name}.py').exists())
          self.assertFalse((path.parent / name).is_dir())
          self.assertIsNotNone(getattr(module, name))

  def test_what_benchmarks_ask_of_a_module_is_there(self):
    # They are run by hand: a name that moved would be seen long after.
    for path in sources('benchmarks'):
      tree = ast.parse(path.read_text('utf-8'))
      modules = {}
      for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.partition('.')[
          0
        ] in HOUSE - {'benchmarks'}:
          whole = importlib.import_module(node.module)
          for name in node.names:
            inside = f'{node.module}.{name.name}'
            if hasattr(whole, '__path__') and importlib.util.find_spec(inside):
              modules[name.asname or name.name] = importlib.import_module(
                inside
              )
            else:
              self.assertTrue(hasattr(whole, name.name), (path.name, inside))
      for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
          module = modules.get(node.value.id)
          asked = f'{path.name}: {node.value.id}.{node.attr}'
          self.assertTrue(module is None or hasattr(module, node.attr), asked)

  def test_every_folder_of_modules_is_a_package(self):
    # One without __init__.py is found last on the path: another's comes first.
    for folder in {path.parent for path in sources(*HOUSE)}:
      with self.subTest(str(folder.relative_to(ROOT))):
        self.assertTrue((folder / '__init__.py').exists())

  def test_every_requirement_is_pinned(self):
    def names(lines):
      found = [re.match(r'[\w.-]+', line) for line in lines]
      return {re.sub(r'[-_.]+', '-', m[0]).lower() for m in found if m}

    pinned = names((ROOT / 'constraints.txt').read_text('utf-8').splitlines())
    wanted = names(setup_list('options', 'install_requires'))
    for extra in (
      'annotate',
      'beam',
      'calibration',
      'probes',
      'tensorboard',
      'bench',
      'test',
    ):
      wanted |= names(setup_list('options.extras_require', extra))
    self.assertGreater(len(wanted), 20)
    self.assertEmpty(wanted - pinned)


class ConfigsTest(absltest.TestCase):
  def test_every_config_is_whole_and_names_an_experiment_that_exists(self):
    for path in sources('configs'):
      if path.name in ('__init__.py', 'common.py'):
        continue
      spec = importlib.util.spec_from_file_location(path.stem, path)
      module = importlib.util.module_from_spec(spec)
      spec.loader.exec_module(module)
      for arg in ('', 'smoke'):
        with self.subTest(f'{path.relative_to(ROOT)}:{arg}'):
          config = module.get_config(arg) if arg else module.get_config()
          self.assertIsInstance(config, ml_collections.ConfigDict)
          config.lock()
          self.assertIsNotNone(importlib.util.find_spec(config.experiment))


if __name__ == '__main__':
  absltest.main()
