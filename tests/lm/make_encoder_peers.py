r"""Records what transformers makes of a tiny random BERT and of all-MiniLM-L6.

python -m tests.lm.make_encoder_peers        # needs the extra [bench]

Writes tests/lm/peers/bert/: config.json, model.safetensors and tokenizer.json
of the tiny one, and peer.npz with tokens, mask, types [2, 13] and its last
hidden states; and tests/lm/peers/minilm/peer.json and peer.npz: the ids, last
hidden states and sentence vectors of TEXTS by the asset. The tests read these,
and need no PyTorch. Vectors are pooled as sentence-transformers does it.
"""

import json
import pathlib

import numpy as np

from engine import assets
from tests import files

TEXTS = (
  'The capital of France is Paris.',
  'Paris is the French capital.',
  'Rome',
  '',
  'Naïve CAFÉ, 東京 and tokenization: 12.5%?!',
  # Cut at 256 tokens, of which all but [CLS] and [SEP] are of the text.
  'A long day. ' * 100,
)
# The hidden states of so many texts are kept; they are large.
HIDDEN = 3


def vectors(model, ids):
  """Last hidden states [T, D] of each row of ids, and the sentence vectors."""
  import torch

  hidden, out = [], []
  for row in ids:
    with torch.no_grad():
      state = model(torch.tensor([row])).last_hidden_state[0]
    hidden.append(state.numpy())
    mean = state.mean(0, keepdim=True)
    out.append(torch.nn.functional.normalize(mean, p=2, dim=1)[0].numpy())
  return hidden, np.stack(out)


def make_tiny(folder: pathlib.Path) -> None:
  """Writes tests/lm/peers/bert/."""
  import tokenizers as tk
  import torch
  import transformers as hf

  torch.manual_seed(0)
  config = hf.BertConfig(
    vocab_size=90,
    hidden_size=12,
    num_hidden_layers=3,
    num_attention_heads=3,
    intermediate_size=20,
    max_position_embeddings=24,
    type_vocab_size=2,
    layer_norm_eps=1e-3,
    initializer_range=0.4,
  )
  model = hf.BertModel(config).eval()
  for weight in model.parameters():
    # Away from ones and zeros, so that norms and biases matter.
    weight.data += 0.1 * torch.randn_like(weight)
  tokens = torch.randint(0, config.vocab_size, (2, 13))
  types = (torch.arange(13) > 5).long().expand(2, 13)
  mask = torch.arange(13) < torch.tensor([[13], [8]])
  with torch.no_grad():
    out = model(tokens, attention_mask=mask.long(), token_type_ids=types)
  model.save_pretrained(folder)
  core = tk.Tokenizer(tk.models.WordPiece(unk_token='[UNK]'))
  core.normalizer = tk.normalizers.BertNormalizer()
  core.pre_tokenizer = tk.pre_tokenizers.BertPreTokenizer()
  specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
  trainer = tk.trainers.WordPieceTrainer(
    vocab_size=config.vocab_size, special_tokens=specials, show_progress=False
  )
  core.train_from_iterator([*TEXTS[:3], 'the long day of a city'], trainer)
  core.post_processor = tk.processors.TemplateProcessing(
    single='[CLS] $A [SEP]', special_tokens=[('[CLS]', 2), ('[SEP]', 3)]
  )
  core.enable_padding(length=20)  # as the file of all-MiniLM-L6-v2 has it
  core.save(str(folder / 'tokenizer.json'))
  np.savez(
    folder / 'peer.npz',
    tokens=tokens.int(),
    types=types.int(),
    mask=mask,
    hidden=out.last_hidden_state,
  )


def make_minilm(folder: pathlib.Path) -> None:
  """Writes tests/lm/peers/minilm/."""
  import transformers as hf

  path = assets.fetch('minilm_l6')
  tokenizer = hf.AutoTokenizer.from_pretrained(path)
  model = hf.BertModel.from_pretrained(path).eval()
  ids = tokenizer(list(TEXTS), truncation=True, max_length=256)['input_ids']
  hidden, sentences = vectors(model, ids)
  folder.mkdir(parents=True, exist_ok=True)
  peer = {'transformers': hf.__version__, 'texts': TEXTS, 'ids': ids}
  (folder / 'peer.json').write_text(json.dumps(peer))
  np.savez(
    folder / 'peer.npz',
    sentences=sentences,
    **{f'hidden_{i}': hidden[i] for i in range(HIDDEN)},
  )


if __name__ == '__main__':
  make_tiny(files.PEERS / 'bert')
  make_minilm(files.PEERS / 'minilm')
