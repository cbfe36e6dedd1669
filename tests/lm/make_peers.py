r"""Records what transformers makes of tiny random models, one a family.

python -m tests.lm.make_peers        # needs the extra [bench]

Writes tests/lm/peers/<family>/: config.json and model.safetensors as
transformers saves them, and peer.npz with tokens [2, 13] and its logits. The
tests read these, and need no PyTorch.
"""

import pathlib

import numpy as np

PEERS = pathlib.Path(__file__).parent / 'peers'
COMMON = dict(
  vocab_size=61,
  hidden_size=16,
  intermediate_size=24,
  num_hidden_layers=3,
  num_attention_heads=4,
  num_key_value_heads=2,
  max_position_embeddings=64,
  rms_norm_eps=1e-5,
  initializer_range=0.3,
)


def main() -> None:
  import torch
  import transformers as hf

  gemma = dict(
    head_dim=8,
    sliding_window=5,
    query_pre_attn_scalar=6,
    layer_types=['sliding_attention', 'full_attention', 'sliding_attention'],
    tie_word_embeddings=True,
  )
  untied = dict(tie_word_embeddings=False)
  models = {
    'llama': (hf.LlamaForCausalLM, hf.LlamaConfig, {}),
    'qwen2': (hf.Qwen2ForCausalLM, hf.Qwen2Config, untied),
    'qwen3': (hf.Qwen3ForCausalLM, hf.Qwen3Config, dict(head_dim=6)),
    'gemma3': (hf.Gemma3ForCausalLM, hf.Gemma3TextConfig, gemma),
  }
  for name, (model_class, config_class, fields) in models.items():
    torch.manual_seed(len(name))
    model = model_class(config_class(**(COMMON | fields))).eval()
    for weight in model.parameters():
      # Away from ones and zeros, so that norms and biases matter.
      weight.data += 0.1 * torch.randn_like(weight)
    tokens = torch.randint(0, COMMON['vocab_size'], (2, 13))
    with torch.no_grad():
      logits = model(tokens).logits
    folder = PEERS / name
    model.save_pretrained(folder)
    (folder / 'generation_config.json').unlink(missing_ok=True)
    np.savez(folder / 'peer.npz', tokens=tokens, logits=logits)
    print(name, sum(p.numel() for p in model.parameters()), 'parameters')


if __name__ == '__main__':
  main()
