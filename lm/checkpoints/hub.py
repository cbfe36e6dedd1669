"""Where a model's name leads: a local path, an asset, or the hub, in order."""

import importlib.util
import os
import pathlib
import re

from engine import assets

# What a checkpoint is made of; never pickled weights. GGUF files are asked for
# one by one: a repository often holds the same model at many precisions.
PATTERNS = ('*.safetensors', '*.json', '*.jinja', '*.model')
_REPOSITORY = r'([\w.-]+/[\w.-]+)(/[\w./-]+\.gguf)?'


def resolve(
  name: str | os.PathLike, *, accept_licence: str = ''
) -> pathlib.Path:
  """The folder or .gguf file of a model, fetched if need be.

  Args:
    name: a local folder or file, an asset of engine/assets.toml, or the
      `organisation/model` of a hub repository, looked for in this order. Of a
      repository without safetensors its one .gguf file is taken; of several,
      `organisation/model/file.gguf` names one.
    accept_licence: see `assets.fetch`.

  Raises:
    FileNotFoundError: none of the three has it, or the repository holds several
      GGUF files; says what was tried.
    PermissionError: an asset whose licence is not accepted.
  """
  path = pathlib.Path(name).expanduser()
  if path.exists():
    return path
  name = os.fspath(name)
  if name in assets.TABLE:
    return assets.fetch(name, accept_licence=accept_licence)
  tried = f'no file or folder {path}, no asset of that name'
  wanted = re.fullmatch(_REPOSITORY, name)
  if not wanted:
    raise FileNotFoundError(
      f'model: {tried}; expected a path, one of '
      f'{", ".join(sorted(assets.TABLE))}, or organisation/model of the hub'
    )
  if importlib.util.find_spec('huggingface_hub') is None:
    raise FileNotFoundError(
      f'model: {tried}, and the hub cannot be asked for {name}: '
      'pip install huggingface_hub'
    )
  repository, file = wanted.groups()
  try:
    return _fetch(repository, (file or '').lstrip('/'))
  except Exception as error:  # the library's and its HTTP client's, of any type
    raise FileNotFoundError(
      f'model: {tried}, and the hub did not serve {name}: {error}'
    ) from error


def _fetch(repository: str, file: str) -> pathlib.Path:
  """The folder of a repository, or one GGUF file in it."""
  import huggingface_hub

  def download(*patterns):
    return pathlib.Path(
      huggingface_hub.snapshot_download(
        repository, allow_patterns=list(patterns)
      )
    )

  if not file:
    folder = download(*PATTERNS)
    if any(folder.glob('*.safetensors')):
      return folder
    files = huggingface_hub.list_repo_files(repository)
    found = sorted(name for name in files if name.endswith('.gguf'))
    if not found:
      return folder
    if len(found) > 1:
      raise FileNotFoundError(
        f'expected one .gguf file, found {", ".join(found)}; name one of them: '
        f'{repository}/{found[0]}'
      )
    (file,) = found
  return download(file) / file
