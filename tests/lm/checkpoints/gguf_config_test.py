"""GGUF metadata: every key of the architecture is read, known or refused."""

from absl.testing import absltest, parameterized

from lm.checkpoints import gguf_config

TOKENS = [str(i) for i in range(7)]
FIELDS = {
  'attention.head_count': 4,
  'attention.head_count_kv': 2,
  'attention.layer_norm_rms_epsilon': 1e-5,
  'block_count': 3,
  'context_length': 2048,
  'embedding_length': 16,
  'feed_forward_length': 24,
}


class Source:
  """Metadata by a dictionary."""

  def __init__(self, arch, **fields):
    self._fields = {f'{arch}.{k}': v for k, v in (FIELDS | fields).items()}
    self._fields['general.architecture'] = arch
    self._fields['general.some_note'] = 'of no matter'
    self._fields['tokenizer.ggml.tokens'] = TOKENS

  def metadata(self, key, *default):
    return self._fields.get(key, *default)

  def keys(self, prefix):
    return {
      key.removeprefix(prefix): value
      for key, value in self._fields.items()
      if key.startswith(prefix)
    }

  def names(self):
    return set()


class ConfigTest(parameterized.TestCase):
  def test_what_converters_write_opens(self):
    family, config = gguf_config.read(
      Source(
        'qwen2',
        **{
          'attention.value_length': 4,
          'rope.dimension_count': 4,
          'rope.freq_base': 1e6,
          'rope.scaling.type': 'none',
          'vocab_size': 7,
        },
      )
    )
    self.assertEqual(family.name, 'qwen2')
    self.assertEqual(
      (config.layers, config.head_dim, config.rope_base, config.window),
      (3, 4, 1e6, None),
    )

  @parameterized.parameters(
    ('qwen2', 'attention.sliding_window', 8),
    ('llama', 'rope.dimension_count', 2),  # a partial rotation
    ('llama', 'rope.scaling.factor', 4.0),
    ('llama', 'final_logit_softcapping', 30.0),
    ('llama', 'attn_logit_softcapping', 50.0),
    ('llama', 'attention.causal', False),
    ('dream', 'attention.causal', True),
    ('llama', 'attention.value_length', 8),
    ('llama', 'expert_count', 8),
    ('llama', 'logit_scale', 0.1),
    ('llama', 'some_new_switch', True),
  )
  def test_what_changes_logits_is_refused_by_its_name(self, arch, key, value):
    with self.assertRaisesRegex(ValueError, key):
      gguf_config.read(Source(arch, **{key: value}))

  def test_a_missing_key_is_named(self):
    with self.assertRaisesRegex(ValueError, "must hold 'block_count'"):
      gguf_config.read(Source('llama', block_count=None))


if __name__ == '__main__':
  absltest.main()
