r"""Our token ids of SmolLM2 beside those of transformers, and how fast.

python -m benchmarks.tokens --out=docs/results/tokens.json

The strings are 10,000 of six kinds: sentences of Wikipedia, emoji, CJK,
combining marks, Python source and random Unicode; specials are sown among
them. Both sides open a folder whose tokenizer.json holds the vocabulary and
merges of the GGUF and the pre-tokenizer of SmolLM2's own (`Digits`, then
`ByteLevel`), and both open the GGUF itself.

transformers has no splitting rule for the name that the GGUF gives,
tokenizer.ggml.pre = smollm, and falls back to GPT-2's, which leaves digits
with the space before them. That the rule of `pre` is right shows in the
vocabulary: not one of 49,152 tokens holds a digit and anything else, so the
merges were learnt with digits apart. `identical/gguf` is therefore our
GGUF beside transformers' folder; `identical_ignoring_pre/gguf` is our GGUF
beside their GGUF, short of 1 by what transformers ignores.
"""

import json
import pathlib
import random
import sys
import tempfile
import time
import unicodedata

from absl import flags

from engine import assets
from engine.runs import results
from launch import cli

_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_COUNT = flags.DEFINE_integer('strings', 10_000, 'strings, of all kinds')
_SEED = flags.DEFINE_integer('seed', 0, 'of the strings')

SPECIALS = ('<|im_start|>', '<|im_end|>', '<|endoftext|>', '<|im_end')


def write_folder(folder: pathlib.Path, gguf_file: pathlib.Path) -> None:
  """A tokenizer.json as SmolLM2's, of what the GGUF holds.

  Written as JSON, by none of the code under test.
  """
  import gguf

  reader = gguf.GGUFReader(gguf_file)

  def key(name):
    return reader.get_field(f'tokenizer.{name}').contents()

  tokens = key('ggml.tokens')
  added = [
    dict(
      id=i,
      content=token,
      single_word=False,
      lstrip=False,
      rstrip=False,
      normalized=False,
      special=True,
    )
    for i, (token, kind) in enumerate(
      zip(tokens, key('ggml.token_type'), strict=True)
    )
    if kind == gguf.TokenType.CONTROL
  ]
  bytes_ = dict(
    type='ByteLevel', add_prefix_space=False, trim_offsets=True, use_regex=True
  )
  digits = dict(type='Digits', individual_digits=True)
  model = dict(
    type='BPE',
    dropout=None,
    unk_token=None,
    continuing_subword_prefix=None,
    end_of_word_suffix=None,
    fuse_unk=False,
    byte_fallback=False,
    vocab={token: i for i, token in enumerate(tokens)},
    merges=key('ggml.merges'),
  )
  whole = dict(
    version='1.0',
    truncation=None,
    padding=None,
    added_tokens=added,
    normalizer=None,
    pre_tokenizer=dict(type='Sequence', pretokenizers=[digits, bytes_]),
    post_processor=None,
    decoder=bytes_,
    model=model,
  )
  config = dict(
    tokenizer_class='PreTrainedTokenizerFast',
    bos_token='<|im_start|>',
    eos_token='<|im_end|>',
    unk_token='<|endoftext|>',
    pad_token='<|im_end|>',
    chat_template=key('chat_template'),
  )
  (folder / 'tokenizer.json').write_text(json.dumps(whole), 'utf-8')
  (folder / 'tokenizer_config.json').write_text(json.dumps(config), 'utf-8')


def _between(rng, ranges, low, high):
  """Characters of the ranges, spaces and digits now and then."""
  out = []
  for _ in range(rng.randint(low, high)):
    start, stop = rng.choice(ranges)
    out.append(chr(rng.randrange(start, stop)))
    if rng.random() < 0.15:
      out.append(rng.choice([' ', '  ', '\n', ' 7', '12', '. ']))
  return ''.join(out)


def _wiki(rng):
  """Sentences of summaries, whole or from anywhere in them."""
  articles = json.loads(assets.fetch('wiki_summaries').read_text('utf-8'))
  texts = [article['extract'] for article in articles.values()]

  def one():
    text = rng.choice(texts)
    start = rng.randrange(max(1, len(text)))
    return text[start : start + rng.randint(1, 300)]

  return one


def _code(rng):
  """Windows of lines of the standard library, indentation kept."""
  import argparse
  import ast
  import statistics

  lines = [
    line
    for module in (argparse, ast, statistics, json)
    for line in pathlib.Path(module.__file__).read_text('utf-8').split('\n')
  ]

  def one():
    start = rng.randrange(len(lines))
    return '\n'.join(lines[start : start + rng.randint(1, 8)])

  return one


def kinds(rng):
  """A maker of strings a kind."""
  emoji = [(0x1F300, 0x1F6FF), (0x1F900, 0x1F9FF), (0x200D, 0x200E)]
  emoji += [(0x1F3FB, 0x1F400), (0xFE0F, 0xFE10), (0x1F1E6, 0x1F200)]
  cjk = [(0x4E00, 0x9FFF), (0x3040, 0x30FF), (0xAC00, 0xD7A3), (0x3000, 0x3020)]
  cjk += [(0x20000, 0x20100), (0xFF10, 0xFF5F)]
  letters = [(0x61, 0x7B), (0x3B1, 0x3C9), (0x905, 0x939), (0x5D0, 0x5EA)]
  marks = [(0x300, 0x36F), (0x93E, 0x94D), (0x5B0, 0x5BD)]
  anything = [(0x0, 0x80), (0x80, 0x2000), (0x2000, 0xD800)]
  anything += [(0xE000, 0x110000), (0x660, 0x66A), (0x2150, 0x2190)]

  def of(ranges):
    return lambda: _between(rng, ranges, 1, 40)

  def combining():
    text = _between(rng, letters + marks * 2, 1, 40)
    return unicodedata.normalize(rng.choice(['NFC', 'NFD']), text)

  return {
    'wiki': _wiki(rng),
    'emoji': of(emoji),
    'cjk': of(cjk),
    'combining': combining,
    'code': _code(rng),
    'unicode': of(anything),
  }


def strings(count: int, seed: int) -> dict[str, list[str]]:
  """`count` strings in all, as many of each kind as can be."""
  rng = random.Random(seed)
  makers = kinds(rng)
  out = {kind: [] for kind in makers}
  for i in range(count):
    kind = list(makers)[i % len(makers)]
    text = makers[kind]()
    if rng.random() < 0.1:
      cut = rng.randrange(len(text) + 1)
      text = text[:cut] + rng.choice(SPECIALS) + text[cut:]
    out[kind].append(text)
  return out


def timed(encode, texts):
  """Ids, and strings a second, the better of two rounds."""
  seconds = []
  for _ in range(2):
    began = time.perf_counter()
    ids = encode(texts)
    seconds.append(time.perf_counter() - began)
  return ids, len(texts) / min(seconds)


def compare(count: int, seed: int) -> dict[str, float]:
  """Shares of strings with the same ids, and strings a second."""
  import transformers

  from lm.checkpoints import pretrained_tokenizer

  file = assets.fetch('smollm2_135m_instruct')
  of_kind = strings(count, seed)
  texts = [text for kind in of_kind.values() for text in kind]
  owner = [kind for kind, some in of_kind.items() for _ in some]
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_folder(folder, file)
    auto, ours = (
      transformers.AutoTokenizer.from_pretrained,
      pretrained_tokenizer.CheckpointTokenizer.load,
    )
    theirs = {
      'folder': auto(folder),
      'gguf': auto(file.parent, gguf_file=file.name),
    }
    mine = {'folder': ours(folder), 'gguf': ours(file)}
  ids, out = {}, {'strings': len(texts)}
  for where in ('folder', 'gguf'):
    ids['ours', where], ours_rate = timed(mine[where].encode_batch, texts)
    ids['theirs', where], their_rate = timed(
      lambda batch, where=where: theirs[where](batch)['input_ids'], texts
    )
    out[f'strings_per_second/{where}/ours'] = ours_rate
    out[f'strings_per_second/{where}/transformers'] = their_rate

  def share(a, b, kind=None):
    same = [
      x == y
      for x, y, k in zip(ids[a], ids[b], owner, strict=True)
      if kind in (None, k)
    ]
    return sum(same) / len(same)

  right = ('theirs', 'folder')
  out['identical/folder'] = share(('ours', 'folder'), right)
  out['identical/gguf'] = share(('ours', 'gguf'), right)
  ignoring = (('ours', 'gguf'), ('theirs', 'gguf'))
  out['identical_ignoring_pre/gguf'] = share(*ignoring)
  for kind in of_kind:
    out[f'identical_ignoring_pre/gguf/{kind}'] = share(*ignoring, kind)
  # A fallback that matched transformers' own folder would be no fault at all.
  out['transformers_gguf_identical_to_its_folder'] = share(
    right, ('theirs', 'gguf')
  )
  tokens = mine['gguf'].pieces(range(mine['gguf'].vocab_size))
  out['tokens_of_a_digit_and_more'] = sum(
    len(token) > 1 and any(digit in token for digit in '0123456789')
    for token in tokens
  )
  return out


def main() -> None:
  began = time.monotonic()
  out = compare(_COUNT.value, _SEED.value)
  for name, value in out.items():
    print(f'{name:<48} {value:,.5g}')
  if _OUT.value:
    results.write(
      _OUT.value,
      out,
      command=' '.join(['python -m benchmarks.tokens', *sys.argv[1:]]),
      seconds=time.monotonic() - began,
      seeds=[_SEED.value],
    )


if __name__ == '__main__':
  cli.main(main)
