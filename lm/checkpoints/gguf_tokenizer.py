"""The tokenizer that the metadata of a GGUF file describes.

Two models are read: 'gpt2' is byte-level BPE, split first as the name in
`tokenizer.ggml.pre` says; 'llama' is SentencePiece's BPE, where of two
neighbours those join first whose joint piece has the highest score.
The names of `pre` and what they stand for are those of llama.cpp.
"""

from collections.abc import Callable

import tokenizers
from tokenizers import (
  decoders,
  models,
  normalizers,
  pre_tokenizers,
  processors,
)

from lm.checkpoints import weights

UNKNOWN, CONTROL, USER_DEFINED, BYTE = 2, 3, 4, 6
SPACE = '▁'
# Some converters file these as plain words.
TURN_ENDS = (
  '<|im_end|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|end|>',
  '<|end_of_text|>',
  '<|end_of_turn|>',
  '<|endoftext|>',
  '<end_of_turn>',
)
ROLES = {
  'bos_token': 'bos_token_id',
  'eos_token': 'eos_token_id',
  'unk_token': 'unknown_token_id',
  'pad_token': 'padding_token_id',
}


def _bytes(*before):
  return pre_tokenizers.Sequence(
    [*before, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
  )


def _gpt2():
  return pre_tokenizers.ByteLevel(add_prefix_space=False)


def _single_digits():
  """Digits leave the text before words are looked for."""
  return pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), _gpt2()]
  )


def _llama3(digits: str = r'\p{N}{1,3}'):
  kinds = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r'[^\r\n\p{L}\p{N}]?\p{L}+',
    digits,
    r' ?[^\s\p{L}\p{N}]+[\r\n]*',
    r'\s*[\r\n]+',
    r'\s+(?!\S)',
    r'\s+',
  )
  pattern = tokenizers.Regex('|'.join(kinds))
  return _bytes(pre_tokenizers.Split(pattern, 'isolated'))


# 'default' is what converters wrote before they knew better: mostly GPT-2's.
PRE: dict[str, Callable] = {
  'default': _gpt2,
  'gpt-2': _gpt2,
  'smollm': _single_digits,
  'starcoder': _single_digits,
  'llama-bpe': _llama3,
  'llama3': _llama3,
  'llama-v3': _llama3,
  'qwen2': lambda: _llama3(r'\p{N}'),
}
LLAMA3 = ('llama-bpe', 'llama3', 'llama-v3')


def build(
  source: weights.GGUFSource,
) -> tuple[tokenizers.Tokenizer, dict[str, str], tuple[int, ...]]:
  """The core, its tokens by role (`bos_token`, ...), and the ends of a turn.

  Raises:
    ValueError: a key is missing, or names what is not known here.
  """
  model = source.metadata('tokenizer.ggml.model')
  tokens = source.metadata('tokenizer.ggml.tokens')
  kinds = source.metadata('tokenizer.ggml.token_type', [1] * len(tokens))
  if len(kinds) != len(tokens) or len(set(tokens)) != len(tokens):
    raise weights.CheckpointError(
      f'{source.path}: expected tokenizer.ggml.tokens that differ, each with '
      f'its tokenizer.ggml.token_type; came {len(tokens)} tokens, '
      f'{len(set(tokens))} that differ, {len(kinds)} types'
    )
  if model == 'gpt2':
    core, adds_bos = _byte_level(source, tokens)
  elif model == 'llama':
    core, adds_bos = _sentencepiece(source, tokens, kinds)
  else:
    raise weights.CheckpointError(
      f'{source.path}: tokenizer.ggml.model must be gpt2 or llama, came '
      f'{model!r}; use the Hugging Face folder of this checkpoint'
    )
  by_role = {}
  for role, key in ROLES.items():
    token = source.metadata(f'tokenizer.ggml.{key}', None)
    if token is not None and not 0 <= token < len(tokens):
      raise weights.CheckpointError(
        f'{source.path}: tokenizer.ggml.{key} must be one of the '
        f'{len(tokens)} tokens, came {token}'
      )
    if token is not None:
      by_role[role] = tokens[token]
  special = {*by_role.values(), *TURN_ENDS}
  for token, kind in zip(tokens, kinds, strict=True):
    # One by one and in order, so that every one keeps its id.
    added = tokenizers.AddedToken(token, normalized=False)
    if kind == CONTROL or token in special:
      core.add_special_tokens([added])
    elif kind == USER_DEFINED:
      core.add_tokens([added])
  ends = [
    source.metadata(f'tokenizer.ggml.{key}', None)
    for key in ('eot_token_id', 'eom_token_id')
  ]
  core.post_processor = template(
    by_role.get('bos_token')
    if source.metadata('tokenizer.ggml.add_bos_token', adds_bos)
    else None,
    by_role.get('eos_token')
    if source.metadata('tokenizer.ggml.add_eos_token', False)
    else None,
    core,
  )
  return core, by_role, tuple(i for i in ends if i is not None)


def template(
  bos: str | None, eos: str | None, core: tokenizers.Tokenizer
) -> processors.TemplateProcessing:
  """Puts bos before a text and eos behind it, where they are not None."""
  single = ' '.join(part for part in (bos, '$A', eos) if part)
  ends = sorted({token for token in (bos, eos) if token})
  return processors.TemplateProcessing(
    # The second of a pair is never used, and has to be there.
    single=single,
    pair=f'{single} $B',
    special_tokens=[(token, core.token_to_id(token)) for token in ends],
  )


def _byte_level(source, tokens):
  pre = source.metadata('tokenizer.ggml.pre', 'default')
  if pre not in PRE:
    raise weights.CheckpointError(
      f'{source.path}: tokenizer.ggml.pre must be one of '
      f'{", ".join(sorted(PRE))}, came {pre!r}; how it splits a text is not '
      'known here: use the Hugging Face folder of this checkpoint'
    )
  merges = [
    tuple(merge.split(' '))
    for merge in source.metadata('tokenizer.ggml.merges')
  ]
  try:
    model = models.BPE(
      vocab={token: i for i, token in enumerate(tokens)},
      merges=merges,
      # A word of the vocabulary stands for itself, as in Llama 3's own file.
      ignore_merges=pre in LLAMA3,
    )
  except Exception as error:  # the library raises bare Exception
    raise weights.CheckpointError(
      f'{source.path}: expected tokenizer.ggml.merges of pairs of tokens, came '
      f'one of another kind: {error}'
    ) from error
  core = tokenizers.Tokenizer(model)
  if pre == 'qwen2':
    core.normalizer = normalizers.NFC()
  core.pre_tokenizer = PRE[pre]()
  core.decoder = decoders.ByteLevel()
  return core, pre in LLAMA3


def _sentencepiece(source, tokens, kinds):
  scores = source.metadata('tokenizer.ggml.scores')
  if len(scores) != len(tokens):
    raise weights.CheckpointError(
      f'{source.path}: expected a tokenizer.ggml.scores for each of '
      f'{len(tokens)} tokens, came {len(scores)}'
    )
  vocab = {token: i for i, token in enumerate(tokens)}
  unknown = source.metadata('tokenizer.ggml.unknown_token_id', None)
  if unknown is None and UNKNOWN in kinds:
    unknown = list(kinds).index(UNKNOWN)
  core = tokenizers.Tokenizer(
    models.BPE(
      vocab=vocab,
      merges=_merges(vocab, scores, kinds),
      unk_token=None if unknown is None else tokens[unknown],
      fuse_unk=True,
      byte_fallback=all(f'<0x{byte:02X}>' in vocab for byte in range(256)),
    )
  )
  prefix = source.metadata('tokenizer.ggml.add_space_prefix', True)
  # SentencePiece puts its space before a text that has one, and llama.cpp also
  # behind a special token; transformers' Metaspace('first') does neither.
  before = [normalizers.Prepend(SPACE)] if prefix else []
  core.normalizer = normalizers.Sequence(
    [*before, normalizers.Replace(' ', SPACE)]
  )
  after = [decoders.Strip(' ', 1, 0)] if prefix else []
  core.decoder = decoders.Sequence(
    [
      decoders.Replace(SPACE, ' '),
      decoders.ByteFallback(),
      decoders.Fuse(),
      *after,
    ]
  )
  return core, True


def _merges(vocab, scores, kinds) -> list[tuple[str, str]]:
  """Every way to make a piece of two others, the best piece first.

  Exact where no two pieces have one score, as SentencePiece's trainer writes
  them. Among the ways to make one piece the longest first half wins.
  """
  ranked = []
  for token, i in vocab.items():
    if kinds[i] in (UNKNOWN, CONTROL, USER_DEFINED, BYTE):
      continue  # never made of pieces
    for cut in range(len(token) - 1, 0, -1):
      if token[:cut] in vocab and token[cut:] in vocab:
        ranked.append((-scores[i], -cut, i, token[:cut], token[cut:]))
  return [(left, right) for *_, left, right in sorted(ranked)]
