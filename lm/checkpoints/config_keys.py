"""Settings of a checkpoint, none of which may pass unread.

A key that is not known may change the logits. So every key of a config is
read, listed as one that changes nothing, fixed to a value that this model has,
or refused by its name.
"""

from collections.abc import Collection, Mapping
from typing import Any

# Keys of transformers that say nothing about the forward pass: names, training,
# generation, the tasks of other heads.
_HARMLESS = """
  _attn_implementation _attn_implementation_autoset _commit_hash _name_or_path
  architectures attention_dropout attention_probs_dropout_prob
  attn_implementation bad_words_ids begin_suppress_tokens bos_token_id
  cache_implementation chunk_size_feed_forward classifier_dropout
  decoder_start_token_id diversity_penalty do_sample dtype early_stopping
  embd_pdrop encoder_no_repeat_ngram_size eos_token_id
  exponential_decay_length_penalty finetuning_task forced_bos_token_id
  forced_eos_token_id gradient_checkpointing hidden_dropout hidden_dropout_prob
  id2label initializer_range is_llama_config keys_to_ignore_at_inference
  label2id length_penalty mask_token_id max_length max_position_embeddings
  max_sequence_length min_length mlp_dropout model_max_length model_type
  no_repeat_ngram_size num_beam_groups num_beams num_labels num_return_sequences
  output_attentions output_hidden_states output_past output_scores pad_token_id
  prefix pretraining_tp problem_type quantize_matmul remove_invalid_values
  repetition_penalty resid_pdrop return_dict return_dict_in_generate
  sep_token_id summary_first_dropout suppress_tokens task_specific_params
  temperature tf_legacy_loss tie_encoder_decoder tokenizer_class top_k top_p
  torch_dtype torchscript transformers.js_config transformers_version typical_p
  unk_token_id unsloth_fixed unsloth_version use_bfloat16 use_cache
"""
HARMLESS = frozenset(_HARMLESS.split())
# Keys of transformers that change the forward pass, and what this model is.
FIXED: Mapping[str, tuple] = {
  'add_cross_attention': (False,),
  'attention_bias': (False,),
  'attn_logit_softcapping': (0.0,),
  'cross_attention_hidden_size': (),
  'final_logit_softcapping': (0.0,),
  'is_causal': (True,),
  'is_decoder': (False, True),
  'is_encoder_decoder': (False,),
  'mlp_bias': (False,),
  'partial_rotary_factor': (1.0,),
  'pruned_heads': ({},),
  'rope_interleaved': (False,),
  'use_bidirectional_attention': (False,),
  'use_mrope': (False,),
  'use_sliding_window': (False,),
}


class Keys:
  """The settings of a checkpoint, taken one by one.

  Args:
    data: the settings by name; null stands for the default.
    where: what holds them, for messages.
    names: what this checkpoint calls a setting, where that differs.
    defaults: what a missing setting stands for.
  """

  def __init__(
    self,
    data: Mapping[str, Any],
    where: str,
    *,
    names: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
  ):
    self._rest = {key: v for key, v in data.items() if v is not None}
    self._where = where
    self._names = names or {}
    self._defaults = defaults or {}

  def take(self, key: str, *default) -> Any:
    """The value of a key; ValueError where it is missing without a default."""
    name = self._names.get(key, key)
    if name in self._rest:
      return self._rest.pop(name)
    if key in self._defaults:
      return self._defaults[key]
    if not default:
      raise ValueError(f'{self._where} must hold {name!r}, and has not')
    return default[0]

  def close(
    self,
    *,
    harmless: Collection[str] = (),
    fixed: Mapping[str, tuple] | None = None,
  ) -> None:
    """Refuses what is left.

    Args:
      harmless: keys that change no logits.
      fixed: the values of a key that this model has.

    Raises:
      ValueError: a key has another value, or is not known.
    """
    fixed = fixed or {}
    for key, value in self._rest.items():
      if key in fixed:
        if value not in fixed[key]:
          wanted = ' or '.join(map(repr, fixed[key])) or 'null'
          raise ValueError(
            f'{key} must be {wanted}, {self._where} has {value!r}: the model '
            'here has no other form, and its outputs would be wrong'
          )
      elif key not in harmless:
        raise ValueError(
          f'{self._where} has {key}={value!r}, a key that is not known here '
          'and may change the outputs; take it out if it changes none, else '
          'use another checkpoint'
        )
