r"""Records what transformers makes of tiny random models, one a family.

python -m tests.lm.make_peers        # needs the extra [bench]

Writes tests/lm/peers/<family>/: config.json and model.safetensors as
transformers saves them, and peer.npz with tokens [2, 13] and its logits; and
tests/lm/peers/tokens/: two small tokenizers and peer.json, what transformers
makes of some strings with them. The tests read these, and need no PyTorch.
"""

import json
import pathlib

import numpy as np

from tests import files

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

TEXTS = (
  '',
  ' ',
  'the cat sat on the mat',
  '  two  spaces\tand\r\nlines\n\n',
  'In 1751 there were  12 cats, 3.14 and 1/2 of one.\n 7',
  "They're here; I'LL go, it's 5's.",
  'emoji 👩‍👩‍👧 🇩🇪 👍🏽 and 日本語、長江 한국어 １２',
  'naïve café, nai\u0308ve cafe\u0301, אָלֶף, हिन्दी',
  'def f(x):\n    return {"a": x[0] != 1}  # why\n\n\n',
  '\x00\x7f\u0080\u00a0\u2028\ufeff\ufffd\U0010ffff ½ ٣٤ Ⅷ',
  '<|im_start|>user\nhi<|im_end|>\n<|endoftext|><|im_end',
  'Ġ ▁ <0x0A> <unk> </s> <s>',
)
MESSAGES = [
  {'role': 'user', 'content': 'how many cats?'},
  {'role': 'assistant', 'content': '12 < 13 & "é"'},
  {'role': 'user', 'content': 'why?'},
]
TEMPLATE = """{%- set ns = namespace(count=0) %}
{% for message in messages %}
  {% if message['role'] == 'tool' %}
    {{ raise_exception('no tools here') }}
  {% endif %}
  {% set ns.count = ns.count + 1 %}
{{ bos_token if loop.first }}<|im_start|>{{ message['role'] }}
{% generation %}
{{ message['content'] | trim }}{% endgeneration %}
{{ eos_token }} {{ {'n': ns.count, 's': message['content']} | tojson }}
{% if loop.last %}{% break %}{% endif %}
{% endfor %}
{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
SPECIALS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']


def make_bytes(folder: pathlib.Path, words: list[str]) -> dict:
  """A byte-level tokenizer like SmolLM2's, and what it makes of TEXTS."""
  import tokenizers as tk
  import transformers as hf

  core = tk.Tokenizer(tk.models.BPE())
  splits = [tk.pre_tokenizers.Digits(individual_digits=True)]
  splits.append(tk.pre_tokenizers.ByteLevel(add_prefix_space=False))
  core.pre_tokenizer = tk.pre_tokenizers.Sequence(splits)
  core.decoder = tk.decoders.ByteLevel()
  trainer = tk.trainers.BpeTrainer(
    vocab_size=420,
    special_tokens=SPECIALS,
    initial_alphabet=sorted(tk.pre_tokenizers.ByteLevel.alphabet()),
    show_progress=False,
  )
  core.train_from_iterator(words, trainer)
  folder.mkdir(parents=True, exist_ok=True)
  core.save(str(folder / 'tokenizer.json'))
  config = {
    'tokenizer_class': 'PreTrainedTokenizerFast',
    'bos_token': '<|endoftext|>',
    'eos_token': {'content': '<|im_end|>', '__type': 'AddedToken'},
    'chat_template': TEMPLATE,
  }
  (folder / 'tokenizer_config.json').write_text(json.dumps(config, indent=1))

  def ids(**kwargs):
    tokenizer = hf.AutoTokenizer.from_pretrained(folder, **kwargs)
    return tokenizer(list(TEXTS))['input_ids']

  tokenizer = hf.AutoTokenizer.from_pretrained(folder)
  model = json.loads((folder / 'tokenizer.json').read_text())['model']
  merges = [tuple(pair) for pair in model['merges']]
  out = {
    'folder': ids(),
    'folder_plain': ids(split_special_tokens=True),
    'folder_bos': ids(add_bos_token=True, add_eos_token=True),
    'rendered': [
      tokenizer.apply_chat_template(
        MESSAGES, tokenize=False, add_generation_prompt=prompt
      )
      for prompt in (False, True)
    ],
    'chat': tokenizer.apply_chat_template(
      MESSAGES, add_generation_prompt=True, return_dict=False
    ),
  }
  # The classes of other families, with this vocabulary.
  for pre, kind in (('gpt-2', hf.GPT2Tokenizer), ('qwen2', hf.Qwen2Tokenizer)):
    tokenizer = kind(vocab=model['vocab'], merges=merges)
    out[pre] = tokenizer(list(TEXTS), add_special_tokens=False)['input_ids']
  from transformers.integrations.gguf import convert_gguf_tokenizer

  core, _ = convert_gguf_tokenizer(
    'llama',
    {
      'tokenizer_type': 'gpt2',
      'pre_tokenizer_type': 'llama-bpe',
      'tokens': list(model['vocab']),
      'merges': [' '.join(pair) for pair in merges],
      'token_type': [3] * len(SPECIALS) + [1] * len(model['vocab']),
    },
  )
  out['llama-bpe'] = [e.ids for e in core.encode_batch(list(TEXTS))]
  return out


def make_scores(folder: pathlib.Path, words: list[str]) -> dict:
  """A vocabulary of scores like Llama's, and what it makes of TEXTS."""
  import tokenizers as tk
  from transformers.integrations.gguf import convert_gguf_tokenizer

  core = tk.Tokenizer(tk.models.BPE())
  core.pre_tokenizer = tk.pre_tokenizers.Metaspace()
  trainer = tk.trainers.BpeTrainer(vocab_size=160, show_progress=False)
  core.train_from_iterator(words, trainer)
  vocab = core.get_vocab()
  made = sorted((t for t in vocab if len(t) > 1), key=vocab.get)
  letters = sorted(t for t in vocab if len(t) == 1)
  tokens = ['<unk>', '<s>', '</s>', *(f'<0x{b:02X}>' for b in range(256))]
  kinds = [2, 3, 3] + [6] * 256 + [1] * len(vocab)
  scores = [0.0] * len(tokens) + [-float(i) for i in range(len(vocab))]
  tokens += made + letters
  fields = {'tokens': tokens, 'token_type': kinds, 'scores': scores}
  (folder / 'scores.json').write_text(json.dumps(fields))
  # The one architecture of transformers that puts the space where
  # SentencePiece and llama.cpp do.
  core, _ = convert_gguf_tokenizer(
    'phi3', {'tokenizer_type': 'llama', **fields}
  )
  return {'scores': [e.ids for e in core.encode_batch(list(TEXTS))]}


def make_tokens(folder: pathlib.Path) -> None:
  """Writes tests/lm/peers/tokens/."""
  words = [' '.join(TEXTS), __doc__] * 3
  peer = {'texts': TEXTS, 'messages': MESSAGES}
  peer |= make_bytes(folder, words) | make_scores(folder, words)
  (folder / 'peer.json').write_text(json.dumps(peer))


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
    folder = files.PEERS / name
    model.save_pretrained(folder)
    (folder / 'generation_config.json').unlink(missing_ok=True)
    np.savez(folder / 'peer.npz', tokens=tokens, logits=logits)
    print(name, sum(p.numel() for p in model.parameters()), 'parameters')
  make_tokens(files.PEERS / 'tokens')


if __name__ == '__main__':
  main()
