"""Small GGUF files and folders, with and without weights."""

import json
import pathlib
import shutil
import tempfile

import gguf
import numpy as np
from absl.testing import parameterized

from lm.checkpoints import pretrained_tokenizer
from tests import files

PEER = json.loads((files.TOKENS / 'peer.json').read_text('utf-8'))
TEXTS = PEER['texts']
SCORES = json.loads((files.TOKENS / 'scores.json').read_text('utf-8'))
CONTROL, USER_DEFINED = 3, 4
load = pretrained_tokenizer.CheckpointTokenizer.load


def byte_fields(**changes):
  """The metadata of the byte-level peer; None takes a key away."""
  full = json.loads((files.TOKENS / 'tokenizer.json').read_text('utf-8'))
  vocab = full['model']['vocab']
  tokens = sorted(vocab, key=vocab.get)
  fields = dict(
    model='gpt2',
    pre='smollm',
    tokens=tokens,
    token_type=[CONTROL] * 3 + [1] * (len(tokens) - 3),
    merges=[' '.join(pair) for pair in full['model']['merges']],
    bos_token_id=0,
    eos_token_id=2,
    chat_template=json.loads(
      (files.TOKENS / 'tokenizer_config.json').read_text()
    )['chat_template'],
  )
  return fields | changes


def score_fields(**changes):
  """The metadata of the peer with scores."""
  return (
    dict(
      model='llama',
      pre='default',
      **SCORES,
      bos_token_id=1,
      eos_token_id=2,
      unknown_token_id=0,
    )
    | changes
  )


def add_fields(writer, fields):
  """Writes the fields of a tokenizer."""
  for name, value in fields.items():
    key = 'tokenizer.' + ('' if name == 'chat_template' else 'ggml.') + name
    if isinstance(value, bool):
      writer.add_bool(key, value)
    elif isinstance(value, str):
      writer.add_string(key, value)
    elif isinstance(value, int):
      writer.add_uint32(key, value)
    elif value is not None:
      writer.add_array(key, value)


def write_gguf(path, kind=gguf.GGMLQuantizationType.F32, fields=None):
  """A tiny random Llama as a GGUF; returns its tensors.

  Args:
    path: of the file.
    kind: of its matrices; quantised blocks are 32 wide, and so is the model.
    fields: of its tokenizer; 61 tokens without one if None.
  """
  fields = fields or {'tokens': [str(i) for i in range(61)]}
  layers, vocab = 3, len(fields['tokens'])
  writer = gguf.GGUFWriter(path, 'llama')
  writer.add_block_count(layers)
  writer.add_embedding_length(32)
  writer.add_feed_forward_length(32)
  writer.add_head_count(4)
  writer.add_head_count_kv(2)
  writer.add_layer_norm_rms_eps(1e-5)
  writer.add_rope_freq_base(10000.0)
  add_fields(writer, fields)
  rng = np.random.default_rng(0)
  values = {}

  def add(name, *shape):
    values[name] = rng.normal(size=shape).astype(np.float32)
    if len(shape) == 1:
      writer.add_tensor(name, values[name])
      return
    data = gguf.quantize(values[name], kind)
    writer.add_tensor(name, data, raw_dtype=kind)

  add('token_embd.weight', vocab, 32)
  add('output_norm.weight', 32)
  for i in range(layers):
    for name, *shape in (
      ('attn_norm', 32),
      ('attn_q', 32, 32),
      ('attn_k', 16, 32),
      ('attn_v', 16, 32),
      ('attn_output', 32, 32),
      ('ffn_norm', 32),
      ('ffn_gate', 32, 32),
      ('ffn_up', 32, 32),
      ('ffn_down', 32, 32),
    ):
      add(f'blk.{i}.{name}.weight', *shape)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return values


class Case(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def gguf(self, fields):
    """A GGUF without tensors that holds these fields."""
    path = self.folder / 'tokens.gguf'
    writer = gguf.GGUFWriter(path, 'llama')
    add_fields(writer, fields)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path

  def copy(self, **changes):
    """The peer's folder with its tokenizer_config.json changed."""
    out = self.folder / 'copy'
    shutil.copytree(files.TOKENS, out)
    file = out / 'tokenizer_config.json'
    config = json.loads(file.read_text()) | changes
    config = {k: v for k, v in config.items() if v is not None}
    file.write_text(json.dumps(config))
    return out
