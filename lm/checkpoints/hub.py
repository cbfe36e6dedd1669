"""Where a model's name leads: a local path, an asset, or the hub, in order."""

import importlib.util
import os
import pathlib
import re

from engine import assets

# What a checkpoint is made of; never pickled weights.
PATTERNS = ('*.safetensors', '*.json', '*.jinja', '*.model')


def resolve(
  name: str | os.PathLike, *, accept_licence: str = ''
) -> pathlib.Path:
  """The folder or .gguf file of a model, fetched if need be.

  Args:
    name: a local folder or file, an asset of corpora.assets, or the
      `organisation/model` of a hub repository, looked for in this order.
    accept_licence: see `assets.fetch`.

  Raises:
    FileNotFoundError: none of the three has it; says what was tried.
    PermissionError: an asset whose licence is not accepted.
  """
  path = pathlib.Path(name).expanduser()
  if path.exists():
    return path
  name = os.fspath(name)
  if name in assets.TABLE:
    return assets.fetch(name, accept_licence=accept_licence)
  tried = f'no file or folder {path}, no asset of that name'
  if not re.fullmatch(r'[\w.-]+/[\w.-]+', name):
    raise FileNotFoundError(
      f'model: {tried}; expected a path, one of '
      f'{", ".join(sorted(assets.TABLE))}, or organisation/model of the hub'
    )
  if importlib.util.find_spec('huggingface_hub') is None:
    raise FileNotFoundError(
      f'model: {tried}, and the hub cannot be asked for {name}: '
      'pip install huggingface_hub'
    )
  import huggingface_hub

  try:
    return pathlib.Path(
      huggingface_hub.snapshot_download(name, allow_patterns=list(PATTERNS))
    )
  except Exception as error:  # the library's and its HTTP client's, of any type
    raise FileNotFoundError(
      f'model: {tried}, and the hub did not serve {name}: {error}'
    ) from error
