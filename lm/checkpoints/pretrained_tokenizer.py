"""Tokenizers of other people's checkpoints, with their chat templates.

A Hugging Face folder (tokenizer.json is what counts; what stands around it
names the special tokens) or a GGUF file (lm/checkpoints/gguf_tokenizer.py). Ids
are those of transformers, except where a GGUF names a `pre` that transformers
ignores.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tokenizers

from lm import tokenizer as tokenizer_lib
from lm.checkpoints import chat_template, gguf_tokenizer, weights

ROLES = ('bos_token', 'eos_token', 'unk_token', 'pad_token')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
  """What a checkpoint says of its tokens beyond how text is split.

  `roles` maps 'bos_token' and the like to tokens, `ends` are ids that end a
  turn, `template` is the chat template, '' where there is none.
  """

  path: str
  roles: Mapping[str, str]
  ends: tuple[int, ...] = ()
  template: str = ''


class CheckpointTokenizer:
  """Text to ids and back as a checkpoint wants it; see `load`.

  Nothing changes after it is made: threads may share one.
  """

  def __init__(self, core: tokenizers.Tokenizer, facts: Facts):
    core.no_truncation()
    core.no_padding()
    core.encode_special_tokens = False
    self._core = core
    self._facts = facts
    added = core.get_added_tokens_decoder()
    self._added = {token.content: i for i, token in added.items()}
    bos, eos, _, pad = (
      None if (token := facts.roles.get(role)) is None else self._added[token]
      for role in ROLES
    )
    self.bos_id: int | None = bos
    self.eos_id: int | None = eos
    self.pad_id: int | None = pad
    ends = {i for t, i in self._added.items() if t in gguf_tokenizer.TURN_ENDS}
    ends |= {*facts.ends, *([] if eos is None else [eos])}
    self.stop_ids: tuple[int, ...] = tuple(sorted(ends))
    vocab = core.get_vocab(with_added_tokens=True)
    self.vocab_size: int = max(vocab.values()) + 1
    named = {*facts.roles.values()}
    # None of these may come of a user's text. Unknown characters may.
    self._special = {
      i: token.content
      for i, token in added.items()
      if (token.special or i in ends or token.content in named)
    }
    self._unknown = self._added.get(facts.roles.get('unk_token', ''))

  @classmethod
  def load(
    cls, path: str | os.PathLike | weights.GGUFSource | weights.FolderSource
  ) -> 'CheckpointTokenizer':
    """Reads a Hugging Face folder, a .gguf file or a folder that holds one.

    Args:
      path: where the files are, or what `weights.open_source` made of them, so
        that a GGUF is parsed once for weights and tokenizer.

    Raises:
      FileNotFoundError: nothing is there, or no tokenizer.json in it.
      ValueError: the file is cut, or describes what is not known here.
    """
    if isinstance(path, weights.FolderSource):
      path = path.path
    if isinstance(path, weights.GGUFSource):
      source = path
    else:
      path = pathlib.Path(path)
      file = weights.gguf_of_folder(path) if path.is_dir() else path
      if file is None:
        return cls(*_of_folder(path))
      if not file.is_file():
        raise FileNotFoundError(
          f'expected a .gguf file or a folder with a tokenizer.json at {path}, '
          'found nothing'
        )
      source = weights.GGUFSource(file)
    core, roles, ends = gguf_tokenizer.build(source)
    template = source.metadata('tokenizer.chat_template', '')
    return cls(
      core,
      Facts(path=str(source.path), roles=roles, ends=ends, template=template),
    )

  def __reduce__(self):
    return _revive, (self._core.to_str(), self._facts)

  def to_json(self) -> str:
    """The contents of a tokenizer.json, without what stands around it."""
    return self._core.to_str()

  @functools.cached_property
  def _plain(self) -> tokenizers.Tokenizer:
    """A second core that reads specials as text: a switch would be shared."""
    full = json.loads(self._core.to_str())
    for token in full['added_tokens']:
      # Only what is special is read as text.
      token['special'] = token['id'] in self._special
    core = tokenizers.Tokenizer.from_str(json.dumps(full))
    core.encode_special_tokens = True
    return core

  def encode(
    self,
    text: str,
    *,
    parse_specials: bool = True,
    add_bos: bool | None = None,
  ) -> list[int]:
    """Ids of a text; ValueError for a lone surrogate.

    Args:
      text: of any length; nothing is cut.
      parse_specials: whether a literal '<|im_end|>' is the token; False for
        text that a user wrote.
      add_bos: None: what the checkpoint puts around a text (bos, eos or
        nothing), as transformers does by default; False: nothing at all.
    """
    (ids,) = self.encode_batch(
      [text], parse_specials=parse_specials, add_bos=add_bos
    )
    return ids

  def encode_batch(
    self,
    texts: Sequence[str],
    *,
    parse_specials: bool = True,
    add_bos: bool | None = None,
  ) -> list[list[int]]:
    """`encode` of many texts on all cores."""
    core = self._core if parse_specials else self._plain
    around = add_bos is None
    texts = [tokenizer_lib.valid_unicode(text) for text in texts]
    batch = core.encode_batch_fast(texts, add_special_tokens=False)
    if not parse_specials:
      for encoding in batch:
        self._check_plain(encoding.ids)
    if around:
      batch = [core.post_process(encoding) for encoding in batch]
    ids = [encoding.ids for encoding in batch]
    if add_bos:
      if self.bos_id is None:
        raise ValueError(
          f'{self._facts.path}: add_bos needs a bos token, and the checkpoint '
          'has none; leave add_bos away'
        )
      ids = [[self.bos_id, *row] for row in ids]
    return ids

  def encode_ends(
    self, texts: Sequence[str]
  ) -> list[tuple[list[int], list[int]]]:
    """Ids of each text, nothing around it, and the place behind each token.

    Places are characters of the text. Where several tokens spell one character
    all of them end behind it.
    """
    texts = [tokenizer_lib.valid_unicode(text) for text in texts]
    return [
      (encoding.ids, [end for _, end in encoding.offsets])
      for encoding in self._core.encode_batch(texts, add_special_tokens=False)
    ]

  def _check_plain(self, ids: Iterable[int]) -> None:
    found = self._special.keys() & set(ids)
    if found := found - {self._unknown}:
      raise ValueError(
        f'{self._facts.path}: expected text without special tokens, came '
        f'{self._special[min(found)]!r}, which this vocabulary cannot spell '
        'otherwise; take it out of the text'
      )

  def decode(self, ids: Iterable[int], skip_specials: bool = True) -> str:
    """The text; cut characters become U+FFFD."""
    return self._core.decode(
      [int(i) for i in ids], skip_special_tokens=skip_specials
    )

  def pieces(self, ids: Iterable[int]) -> list[str]:
    """One string a token; specials by their names."""
    return [self._piece(int(i)) for i in ids]

  def _piece(self, i: int) -> str:
    # What it adds to itself: the first of a text may lose its space.
    once, twice = (self.decode([i] * n, skip_specials=False) for n in (1, 2))
    return twice[len(once) :]

  def special_id(self, name: str) -> int:
    """The id of a token like '<|im_end|>'; ValueError where there is none."""
    if name not in self._added:
      raise ValueError(
        f'{self._facts.path}: expected the special token {name!r}, found '
        f'{", ".join(sorted(self._added)) or "no special token"}; '
        'choose one of these or another checkpoint'
      )
    return self._added[name]

  def render(
    self,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
  ) -> str:
    """The text of a conversation, as the chat template writes it.

    Args:
      messages: {'role': ..., 'content': ...} and what else the template reads.
      add_generation_prompt: whether the answer's opening follows.

    Raises:
      ValueError: there is no template, or it refuses the messages.
    """
    return self._template.render(
      messages,
      add_generation_prompt=add_generation_prompt,
      tokens=self._facts.roles,
    )

  @property
  def has_template(self) -> bool:
    return bool(self._facts.template)

  @functools.cached_property
  def _template(self) -> chat_template.ChatTemplate:
    return chat_template.ChatTemplate(self._facts.template, self._facts.path)

  def chat(
    self,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
  ) -> list[int]:
    """`render`, then ids; bos only where the template wrote it.

    As with transformers, a special token spelt out in a message is one.
    """
    text = self.render(messages, add_generation_prompt=add_generation_prompt)
    return self.encode(text, add_bos=False)

  @functools.cached_property
  def fingerprint(self) -> str:
    """16 hex digits that change with the ids of any text or conversation."""
    facts = dataclasses.asdict(self._facts) | {'path': ''}
    parts = [json.loads(self._core.to_str()), facts, self.stop_ids]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _revive(text: str, facts: Facts) -> CheckpointTokenizer:
  return CheckpointTokenizer(tokenizers.Tokenizer.from_str(text), facts)


def _json(file: pathlib.Path) -> dict[str, Any]:
  """The object of a file, empty where there is no file."""
  if not file.is_file():
    return {}
  try:
    found = json.loads(file.read_text(encoding='utf-8'))
  except ValueError as error:
    raise ValueError(f'{file}: expected JSON, came {error}') from error
  if not isinstance(found, dict):
    raise ValueError(f'{file}: expected an object, came {type(found).__name__}')
  return found


def _of_folder(folder: pathlib.Path) -> tuple[tokenizers.Tokenizer, Facts]:
  file = folder / 'tokenizer.json'
  if not file.is_file():
    raise FileNotFoundError(
      f'{folder}: expected a tokenizer.json, found none; open and save the '
      'checkpoint once with transformers to make it'
    )
  try:
    core = tokenizers.Tokenizer.from_str(file.read_text(encoding='utf-8'))
  except Exception as error:  # the library raises bare Exception
    raise ValueError(
      f'{file}: expected the JSON of a tokenizer: {error}'
    ) from error
  config = _json(folder / 'tokenizer_config.json')
  named = _json(folder / 'special_tokens_map.json') | config
  roles = {role: _content(named[role]) for role in ROLES if named.get(role)}
  _add_missing(core, config.get('added_tokens_decoder', {}), roles)
  if 'add_bos_token' in config or 'add_eos_token' in config:
    # As transformers: the flags overrule what tokenizer.json says.
    core.post_processor = gguf_tokenizer.template(
      roles.get('bos_token') if config.get('add_bos_token') else None,
      roles.get('eos_token') if config.get('add_eos_token') else None,
      core,
    )
  ends = _json(folder / 'generation_config.json').get('eos_token_id') or []
  template = folder / 'chat_template.jinja'
  facts = Facts(
    path=str(folder),
    roles=roles,
    ends=tuple(ends) if isinstance(ends, list) else (ends,),
    template=template.read_text(encoding='utf-8')
    if template.is_file()
    else _default(config.get('chat_template') or ''),
  )
  return core, facts


def _content(token: str | Mapping[str, Any]) -> str:
  return token if isinstance(token, str) else token['content']


def _default(template: str | list[dict[str, str]]) -> str:
  """The template, or that named 'default' among several."""
  if isinstance(template, str):
    return template
  return {t['name']: t['template'] for t in template}.get('default', '')


def _add_missing(core, table, roles) -> None:
  """Adds what the config names and tokenizer.json has not, as transformers."""
  fields = ('single_word', 'lstrip', 'rstrip', 'normalized', 'special')
  have = {t.content for t in core.get_added_tokens_decoder().values()}
  for _, token in sorted(table.items(), key=lambda row: int(row[0])):
    if token['content'] not in have:
      given = {key: token[key] for key in fields if key in token}
      core.add_tokens([tokenizers.AddedToken(token['content'], **given)])
  have = {t.content for t in core.get_added_tokens_decoder().values()}
  for token in roles.values():
    if token not in have:
      core.add_special_tokens([token])
