"""Tokenizers of checkpoints against what transformers makes of them."""

import concurrent.futures
import itertools
import json
import pathlib
import pickle
import shutil
import tempfile
import unicodedata

import gguf
import numpy as np
import tokenizers
from absl.testing import absltest, parameterized

from lm import checkpoint_tokenizer, gguf_tokenizer, weights

PEERS = pathlib.Path(__file__).parent / 'peers' / 'tokens'
PEER = json.loads((PEERS / 'peer.json').read_text('utf-8'))
TEXTS = PEER['texts']
SCORES = json.loads((PEERS / 'scores.json').read_text('utf-8'))
CONTROL, USER_DEFINED = 3, 4
load = checkpoint_tokenizer.CheckpointTokenizer.load


def byte_fields(**changes):
  """The metadata of the byte-level peer; None takes a key away."""
  full = json.loads((PEERS / 'tokenizer.json').read_text('utf-8'))
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
    chat_template=json.loads((PEERS / 'tokenizer_config.json').read_text())[
      'chat_template'
    ],
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
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path

  def copy(self, **changes):
    """The peer's folder with its tokenizer_config.json changed."""
    out = self.folder / 'copy'
    shutil.copytree(PEERS, out)
    file = out / 'tokenizer_config.json'
    config = json.loads(file.read_text()) | changes
    config = {k: v for k, v in config.items() if v is not None}
    file.write_text(json.dumps(config))
    return out


class PeersTest(Case):
  """Ids that transformers gave (make_peers.py)."""

  def test_folder(self):
    t = load(PEERS)
    self.assertEqual(t.encode_batch(TEXTS), PEER['folder'])
    self.assertEqual([t.encode(text) for text in TEXTS], PEER['folder'])

  def test_folder_without_specials(self):
    got = load(PEERS).encode_batch(TEXTS, parse_specials=False)
    self.assertEqual(got, PEER['folder_plain'])

  def test_folder_that_adds_bos_and_eos(self):
    t = load(self.copy(add_bos_token=True, add_eos_token=True))
    self.assertEqual(t.encode_batch(TEXTS), PEER['folder_bos'])
    self.assertEqual(t.encode_batch(TEXTS, add_bos=False), PEER['folder'])
    plain = t.encode(TEXTS[-2], parse_specials=False)
    self.assertEqual(plain[1:-1], PEER['folder_plain'][-2])

  def test_gguf_of_smollm_is_the_folder(self):
    t = load(self.gguf(byte_fields()))
    self.assertEqual(t.encode_batch(TEXTS), PEER['folder'])
    self.assertNotEqual(PEER['folder'], PEER['gpt-2'])

  @parameterized.parameters(
    ('gpt-2', 'gpt-2'),
    ('default', 'gpt-2'),
    (None, 'gpt-2'),
    ('qwen2', 'qwen2'),
    ('llama-bpe', 'llama-bpe'),
  )
  def test_gguf_is_split_by_its_pre(self, pre, peer):
    t = load(self.gguf(byte_fields(pre=pre)))
    for text, ids in zip(TEXTS, PEER[peer], strict=True):
      with self.subTest(text):
        # Peers of transformers' classes know no special tokens.
        special = peer == 'llama-bpe'
        got = t.encode(text, parse_specials=special, add_bos=False)
        if special or '<|im' not in text:
          self.assertEqual(got, ids)

  def test_every_pre_has_rules_of_its_own(self):
    ids = [PEER[pre] for pre in ('folder', 'gpt-2', 'qwen2', 'llama-bpe')]
    self.assertLen({json.dumps(i) for i in ids}, 4)

  @parameterized.parameters(
    ('smollm', ['1', '2', '3', '1', '2']),
    ('qwen2', ['1', '2', '3', '1', '2']),
    ('llama-bpe', ['123', '12']),
    ('gpt-2', ['12312']),
  )
  def test_digits_stand_alone_or_in_threes(self, pre, want):
    fields = byte_fields(pre=pre)
    more = ['12', '123', '12312']
    fields['tokens'] += more
    fields['token_type'] += [1] * len(more)
    fields['merges'] += ['1 2', '12 3', '123 12']
    t = load(self.gguf(fields))
    self.assertEqual(t.pieces(t.encode('12312', add_bos=False)), want)

  def test_a_word_of_llama3_needs_no_merges(self):
    for pre, whole in (('llama-bpe', True), ('smollm', False)):
      fields = byte_fields(pre=pre)
      fields['tokens'].append('zzz')
      fields['token_type'].append(1)
      t = load(self.gguf(fields))
      got = t.encode('zzz', add_bos=False)
      self.assertEqual(got == [t.vocab_size - 1], whole)

  def test_scores(self):
    t = load(self.gguf(score_fields()))
    got = t.encode_batch(TEXTS, add_bos=False)
    self.assertEqual(got, PEER['scores'])
    # SentencePiece's vocabularies begin with bos unless they say otherwise.
    self.assertEqual(t.encode_batch(TEXTS), [[1, *ids] for ids in got])

  def test_rendered(self):
    for path in (PEERS, self.gguf(byte_fields())):
      t = load(path)
      got = [
        t.render(PEER['messages'], add_generation_prompt=prompt)
        for prompt in (False, True)
      ]
      self.assertEqual(got, PEER['rendered'])
      self.assertEqual(t.chat(PEER['messages']), PEER['chat'])


class SentencePieceTest(Case):
  def brute(self, text, tokens, scores):
    """The best pair of neighbours first, the left one of equals."""
    ids = {token: i for i, token in enumerate(tokens)}
    parts = list(text.replace(' ', '▁'))
    while True:
      pairs = [
        (-scores[ids[a + b]], i)
        for i, (a, b) in enumerate(itertools.pairwise(parts))
        if a + b in ids and ids[a + b] >= 259
      ]
      if not pairs:
        break
      _, i = min(pairs)
      parts[i : i + 2] = [parts[i] + parts[i + 1]]
    out = []
    for part in parts:
      if part in ids:
        out.append(ids[part])
      else:
        out += [3 + byte for byte in part.encode()]
    return out

  @parameterized.parameters(True, False)
  def test_greedy_by_score(self, prefix):
    # Scores in another order than ids, so that neither passes for the other.
    rng = np.random.default_rng(0)
    pieces = SCORES['tokens'][259:]
    order = rng.permutation(len(pieces))
    scores = [0.0] * 259 + [-float(i) for i in order]
    fields = score_fields(scores=scores, add_space_prefix=prefix)
    t = load(self.gguf(fields))
    words = [w for text in TEXTS[:-2] for w in text.split(' ')]
    for _ in range(200):
      text = ' '.join(rng.choice(words, 5))
      before = '▁' if prefix else ''
      want = self.brute(before + text, SCORES['tokens'], scores)
      self.assertEqual(t.encode(text, add_bos=False), want)
      self.assertEqual(t.decode(want), text)

  def test_bytes_and_roles(self):
    t = load(self.gguf(score_fields()))
    self.assertEqual((t.bos_id, t.eos_id, t.pad_id), (1, 2, None))
    self.assertEqual(t.stop_ids, (2,))
    got = t.encode('𝄞', add_bos=False)[-4:]
    self.assertEqual(got, [3 + b for b in '𝄞'.encode()])
    self.assertEqual(t.decode(got), '𝄞')
    # A byte token spelt out is text.
    self.assertNotIn(3 + 10, t.encode('<0x0A>'))
    self.assertEqual(t.decode(t.encode('<0x0A>')), '<0x0A>')

  def test_specials_in_text(self):
    t = load(self.gguf(score_fields()))
    self.assertIn(2, t.encode('a</s>b', add_bos=False))
    ids = t.encode('a</s>b', parse_specials=False, add_bos=False)
    self.assertNotIn(2, ids)
    self.assertEqual(t.decode(ids), 'a</s>b')
    # The checkpoint's own bos still comes first.
    self.assertEqual(t.encode('a</s>b', parse_specials=False), [1, *ids])

  def test_no_piece_joins_to_a_special(self):
    fields = score_fields()
    fields['tokens'] = [*fields['tokens'], '<s']
    fields['scores'] = [*fields['scores'], 0.0]
    fields['token_type'] = [*fields['token_type'], 1]
    t = load(self.gguf(fields))
    ids = t.encode('<s>', parse_specials=False, add_bos=False)
    self.assertEqual(t.pieces(ids)[-2:], ['<s', '>'])

  def test_unknown_characters_without_bytes(self):
    fields = score_fields()
    # Kept in their places under names that are no bytes.
    fields['tokens'] = [t.replace('<0x', '<y') for t in fields['tokens']]
    t = load(self.gguf(fields))
    self.assertEqual(t.encode('𝄞', parse_specials=False)[-1], 0)

  def test_user_defined_is_one_token_even_in_plain_text(self):
    tokens = [*SCORES['tokens'], '   ']
    t = load(
      self.gguf(
        score_fields(
          tokens=tokens,
          scores=[*SCORES['scores'], -1000.0],
          token_type=[*SCORES['token_type'], USER_DEFINED],
        )
      )
    )
    for parse in (True, False):
      ids = t.encode('the   cat', parse_specials=parse)
      self.assertIn(len(tokens) - 1, ids)
      self.assertNotIn(len(tokens) - 1, t.encode('the  cat'))


class RoundTripTest(Case):
  @parameterized.parameters('folder', 'gguf', 'scores')
  def test_random_unicode(self, which):
    fields = score_fields if which == 'scores' else byte_fields
    t = load(PEERS if which == 'folder' else self.gguf(fields()))
    rng = np.random.default_rng(0)
    for top in (0x80, 0x800, 0xD800, 0x110000):
      for _ in range(20):
        points = rng.integers(0, top, 30)
        text = ''.join(chr(p) for p in points if not 0xD800 <= p < 0xE000)
        ids = t.encode(text, parse_specials=False)
        self.assertEqual(t.decode(ids), text)
        self.assertLess(max(ids), t.vocab_size)

  @parameterized.parameters(*TEXTS)
  def test_texts(self, text):
    for path in (PEERS, self.gguf(score_fields())):
      t = load(path)
      ids = t.encode(text, parse_specials=False)
      # SentencePiece writes its own sign for a space as a space.
      want = text if path == PEERS else text.replace('▁', ' ')
      self.assertEqual(t.decode(ids), want)

  def test_qwen2_composes(self):
    text = 'cafe\u0301'
    t = load(self.gguf(byte_fields(pre='qwen2')))
    want = unicodedata.normalize('NFC', text)
    self.assertEqual(t.decode(t.encode(text)), want)

  def test_pieces(self):
    t = load(self.gguf(score_fields()))
    ids = t.encode('the cat\n</s>')
    pieces = t.pieces(ids)
    self.assertEqual(pieces[0], '<s>')
    self.assertEqual(pieces[-1], '</s>')
    self.assertEqual(''.join(pieces[1:-1]), ' the cat\n')
    t = load(PEERS)
    self.assertEqual(t.pieces(t.encode(' 12€')), [' ', '1', '2', *'\ufffd' * 3])

  def test_decode_with_specials(self):
    t = load(PEERS)
    text = TEXTS[-2]
    ids = t.encode(text)
    self.assertEqual(t.decode(ids, skip_specials=False), text)
    self.assertEqual(t.decode(ids), 'user\nhi\n<|im_end')


class MembersTest(Case):
  def test_ids(self):
    t = load(PEERS)
    self.assertEqual((t.bos_id, t.eos_id, t.pad_id), (0, 2, None))
    self.assertEqual(t.stop_ids, (0, 2))
    size = tokenizers.Tokenizer.from_file(str(PEERS / 'tokenizer.json'))
    self.assertEqual(t.vocab_size, size.get_vocab_size())
    self.assertEqual(t.special_id('<|im_start|>'), 1)

  def test_stop_ids_of_generation_config(self):
    folder = self.copy()
    (folder / 'generation_config.json').write_text('{"eos_token_id": [7, 1]}')
    self.assertEqual(load(folder).stop_ids, (0, 1, 2, 7))

  def test_stop_ids_of_gguf(self):
    t = load(self.gguf(byte_fields(eot_token_id=9, pad_token_id=None)))
    self.assertEqual(t.stop_ids, (0, 2, 9))

  def test_turn_ends_filed_as_words_are_special(self):
    kinds = [1] * len(byte_fields()['tokens'])
    t = load(self.gguf(byte_fields(token_type=kinds, eos_token_id=None)))
    self.assertEqual(t.encode('<|im_end|>'), [2])
    self.assertNotIn(2, t.encode('<|im_end|>', parse_specials=False))

  def test_special_id_names_what_there_is(self):
    with self.assertRaisesRegex(
      ValueError, r"'<mask>'.*<\|endoftext\|>, <\|im_end\|>, <\|im_start\|>"
    ):
      load(PEERS).special_id('<mask>')

  def test_tokens_of_the_config_are_added(self):
    folder = self.copy(pad_token='<pad>')
    t = load(folder)
    self.assertEqual(t.pad_id, t.vocab_size - 1)
    self.assertEqual(t.encode('a<pad>'), [*t.encode('a'), t.pad_id])

  def test_added_tokens_that_end_turns_are_no_text(self):
    # Some folders say special: false of them.
    folder = self.copy()
    file = folder / 'tokenizer.json'
    full = json.loads(file.read_text('utf-8'))
    for token in full['added_tokens']:
      token['special'] = False
    file.write_text(json.dumps(full), 'utf-8')
    t = load(folder)
    self.assertEqual(t.encode('<|im_end|>'), [2])
    self.assertNotIn(2, t.encode('<|im_end|>', parse_specials=False))

  def test_text_that_has_no_other_spelling_is_refused(self):
    core = tokenizers.Tokenizer(
      tokenizers.models.WordLevel({'a': 0, '<s>': 1}, unk_token='a')
    )
    core.add_special_tokens(['<s>'])
    folder = self.folder / 'words'
    folder.mkdir()
    core.save(str(folder / 'tokenizer.json'))
    with self.assertRaisesRegex(ValueError, "came '<s>'"):
      load(folder).encode('<s>', parse_specials=False)

  def test_add_bos(self):
    t = load(PEERS)
    self.assertEqual(t.encode('a', add_bos=True), [0, *t.encode('a')])
    t = load(self.copy(bos_token=None))
    with self.assertRaisesRegex(ValueError, 'needs a bos token'):
      t.encode('a', add_bos=True)

  def test_lone_surrogate(self):
    t = load(PEERS)
    for call in (t.encode, lambda text: t.encode_batch(['a', text])):
      with self.assertRaisesRegex(ValueError, 'lone surrogate at character 1'):
        call('a\ud800')

  def test_pickle(self):
    t = load(self.gguf(byte_fields()))
    again = pickle.loads(pickle.dumps(t))
    for parse in (True, False):
      got = again.encode_batch(TEXTS, parse_specials=parse)
      self.assertEqual(got, t.encode_batch(TEXTS, parse_specials=parse))
    self.assertEqual(again.fingerprint, t.fingerprint)
    self.assertEqual(again.chat(PEER['messages']), PEER['chat'])

  def test_threads_do_not_switch_specials_for_each_other(self):
    t = load(PEERS)
    text = TEXTS[-2] * 20

    def encode(parse):
      return t.encode(text, parse_specials=parse)

    wanted = {parse: encode(parse) for parse in (True, False)}
    parses = [True, False] * 50
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
      for parse, ids in zip(parses, pool.map(encode, parses), strict=True):
        self.assertEqual(ids, wanted[parse])

  def test_fingerprint(self):
    prints = [
      load(self.gguf(byte_fields(**changes))).fingerprint
      for changes in (
        {},
        {'pre': 'gpt-2'},
        {'merges': byte_fields()['merges'][:-1]},
        {'add_bos_token': True},
        {'eos_token_id': 1},
        {'chat_template': 'x'},
      )
    ]
    self.assertLen(set(prints), len(prints))
    self.assertRegex(prints[0], '^[0-9a-f]{16}$')
    elsewhere = self.copy()
    self.assertEqual(load(elsewhere).fingerprint, load(PEERS).fingerprint)


class TemplateTest(Case):
  def test_file_wins_over_config(self):
    folder = self.copy()
    (folder / 'chat_template.jinja').write_text('{{ eos_token }}!')
    self.assertEqual(load(folder).render([]), '<|im_end|>!')

  def test_default_among_several(self):
    several = [
      {'name': 'tool_use', 'template': 'tools'},
      {'name': 'default', 'template': 'plain'},
    ]
    self.assertEqual(load(self.copy(chat_template=several)).render([]), 'plain')

  def test_none(self):
    for path in (
      self.copy(chat_template=None),
      self.gguf(byte_fields(chat_template=None)),
    ):
      with self.assertRaisesRegex(ValueError, 'expected a chat template'):
        load(path).chat(PEER['messages'])

  def test_raises(self):
    with self.assertRaisesRegex(ValueError, 'TemplateError: no tools here'):
      load(PEERS).render([{'role': 'tool', 'content': ''}])
    with self.assertRaisesRegex(ValueError, 'TypeError: .*Undefined'):
      load(PEERS).render([{'role': 'user'}])

  def test_does_not_compile(self):
    with self.assertRaisesRegex(ValueError, 'does not compile'):
      load(self.copy(chat_template='{% if %}')).render([])

  def test_sandbox(self):
    for template in (
      "{{ ''.__class__.__mro__[1].__subclasses__() }}",
      '{{ messages.append(1) }}',
    ):
      t = load(self.gguf(byte_fields(chat_template=template)))
      with self.assertRaisesRegex(ValueError, 'SecurityError'):
        t.render([])

  def test_strftime_now(self):
    t = load(self.copy(chat_template="{{ strftime_now('%Y') }}"))
    self.assertRegex(t.render([]), r'^\d{4}$')

  def test_messages_that_are_no_json(self):
    for messages in ([{'role': 'user', 'content': {1, 2}}], ['hi']):
      with self.assertRaisesRegex(ValueError, 'objects of JSON'):
        load(PEERS).render(messages)

  def test_bos_stands_once(self):
    t = load(self.copy(add_bos_token=True))
    self.assertEqual(t.chat(PEER['messages']), PEER['chat'])
    self.assertEqual(PEER['chat'].count(0), 1)


class BrokenTest(Case):
  @parameterized.parameters('merges', 'tokens', 'model')
  def test_gguf_lacks(self, key):
    path = self.gguf(byte_fields(**{key: None}))
    with self.assertRaisesRegex(
      weights.CheckpointError, f'tokenizer.ggml.{key}'
    ):
      load(path)

  def test_gguf_lacks_scores(self):
    with self.assertRaisesRegex(weights.CheckpointError, 'ggml.scores'):
      load(self.gguf(score_fields(scores=None)))

  @parameterized.parameters(
    (dict(model='rwkv'), "gpt2 or llama, came 'rwkv'"),
    (dict(pre='tekken'), "llama-bpe.*smollm.*came 'tekken'"),
    (dict(merges=['no such']), 'merges of pairs'),
    (dict(merges=['a']), 'merges of pairs'),
    (dict(eos_token_id=9999), 'eos_token_id must be one of'),
    (dict(token_type=[1, 1]), '2 types'),
  )
  def test_gguf_says_what_is_not_known(self, changes, message):
    with self.assertRaisesRegex(weights.CheckpointError, message):
      load(self.gguf(byte_fields(**changes)))

  def test_gguf_of_doubled_tokens(self):
    fields = byte_fields()
    fields['tokens'][9] = fields['tokens'][8]
    with self.assertRaisesRegex(weights.CheckpointError, 'that differ'):
      load(self.gguf(fields))

  def test_cut_file(self):
    path = self.gguf(byte_fields())
    path.write_bytes(path.read_bytes()[:2000])
    with self.assertRaisesRegex(weights.CheckpointError, 'whole GGUF'):
      load(path)

  def test_nothing_there(self):
    with self.assertRaisesRegex(FileNotFoundError, 'found nothing'):
      load(self.folder / 'none')
    with self.assertRaisesRegex(FileNotFoundError, 'a tokenizer.json'):
      load(self.folder)

  def test_no_json(self):
    folder = self.copy()
    (folder / 'special_tokens_map.json').write_text('[1]')
    with self.assertRaisesRegex(ValueError, 'expected an object'):
      load(folder)
    (folder / 'tokenizer.json').write_text('{')
    with self.assertRaisesRegex(ValueError, 'the JSON of a tokenizer'):
      load(folder)

  def test_every_pre_builds(self):
    for name, make in gguf_tokenizer.PRE.items():
      with self.subTest(name):
        self.assertNotEmpty(make().pre_tokenize_str('a 1'))


if __name__ == '__main__':
  absltest.main()
