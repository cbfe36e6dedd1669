"""Tokenizers of checkpoints against what transformers made of them."""

import concurrent.futures
import json
import pickle
import unicodedata

import numpy as np
import tokenizers
from absl.testing import absltest, parameterized

from lm.checkpoints import gguf_tokenizer, weights
from tests import files
from tests.lm.checkpoints import tokenizer_support as support


class PeersTest(support.Case):
  """Ids that transformers gave (make_peers.py)."""

  def test_folder(self):
    t = support.load(files.TOKENS)
    self.assertEqual(t.encode_batch(support.TEXTS), support.PEER['folder'])
    self.assertEqual(
      [t.encode(text) for text in support.TEXTS], support.PEER['folder']
    )

  def test_folder_without_specials(self):
    got = support.load(files.TOKENS).encode_batch(
      support.TEXTS, parse_specials=False
    )
    self.assertEqual(got, support.PEER['folder_plain'])

  def test_folder_that_adds_bos_and_eos(self):
    t = support.load(self.copy(add_bos_token=True, add_eos_token=True))
    self.assertEqual(t.encode_batch(support.TEXTS), support.PEER['folder_bos'])
    self.assertEqual(
      t.encode_batch(support.TEXTS, add_bos=False), support.PEER['folder']
    )
    plain = t.encode(support.TEXTS[-2], parse_specials=False)
    self.assertEqual(plain[1:-1], support.PEER['folder_plain'][-2])

  def test_gguf_of_smollm_is_the_folder(self):
    t = support.load(self.gguf(support.byte_fields()))
    self.assertEqual(t.encode_batch(support.TEXTS), support.PEER['folder'])
    self.assertNotEqual(support.PEER['folder'], support.PEER['gpt-2'])

  @parameterized.parameters(
    ('gpt-2', 'gpt-2'),
    ('default', 'gpt-2'),
    (None, 'gpt-2'),
    ('qwen2', 'qwen2'),
    ('llama-bpe', 'llama-bpe'),
  )
  def test_gguf_is_split_by_its_pre(self, pre, peer):
    t = support.load(self.gguf(support.byte_fields(pre=pre)))
    for text, ids in zip(support.TEXTS, support.PEER[peer], strict=True):
      with self.subTest(text):
        # Peers of transformers' classes know no special tokens.
        special = peer == 'llama-bpe'
        got = t.encode(text, parse_specials=special, add_bos=False)
        if special or '<|im' not in text:
          self.assertEqual(got, ids)

  def test_every_pre_has_rules_of_its_own(self):
    ids = [
      support.PEER[pre] for pre in ('folder', 'gpt-2', 'qwen2', 'llama-bpe')
    ]
    self.assertLen({json.dumps(i) for i in ids}, 4)

  @parameterized.parameters(
    ('smollm', ['1', '2', '3', '1', '2']),
    ('qwen2', ['1', '2', '3', '1', '2']),
    ('llama-bpe', ['123', '12']),
    ('gpt-2', ['12312']),
  )
  def test_digits_stand_alone_or_in_threes(self, pre, want):
    fields = support.byte_fields(pre=pre)
    more = ['12', '123', '12312']
    fields['tokens'] += more
    fields['token_type'] += [1] * len(more)
    fields['merges'] += ['1 2', '12 3', '123 12']
    t = support.load(self.gguf(fields))
    self.assertEqual(t.pieces(t.encode('12312', add_bos=False)), want)

  def test_a_word_of_llama3_needs_no_merges(self):
    for pre, whole in (('llama-bpe', True), ('smollm', False)):
      fields = support.byte_fields(pre=pre)
      fields['tokens'].append('zzz')
      fields['token_type'].append(1)
      t = support.load(self.gguf(fields))
      got = t.encode('zzz', add_bos=False)
      self.assertEqual(got == [t.vocab_size - 1], whole)

  def test_scores(self):
    t = support.load(self.gguf(support.score_fields()))
    got = t.encode_batch(support.TEXTS, add_bos=False)
    self.assertEqual(got, support.PEER['scores'])
    # SentencePiece's vocabularies begin with bos unless they say otherwise.
    self.assertEqual(t.encode_batch(support.TEXTS), [[1, *ids] for ids in got])

  def test_rendered(self):
    for path in (files.TOKENS, self.gguf(support.byte_fields())):
      t = support.load(path)
      got = [
        t.render(support.PEER['messages'], add_generation_prompt=prompt)
        for prompt in (False, True)
      ]
      self.assertEqual(got, support.PEER['rendered'])
      self.assertEqual(t.chat(support.PEER['messages']), support.PEER['chat'])


class RoundTripTest(support.Case):
  @parameterized.parameters('folder', 'gguf', 'scores')
  def test_random_unicode(self, which):
    fields = support.score_fields if which == 'scores' else support.byte_fields
    t = support.load(files.TOKENS if which == 'folder' else self.gguf(fields()))
    rng = np.random.default_rng(0)
    for top in (0x80, 0x800, 0xD800, 0x110000):
      for _ in range(20):
        points = rng.integers(0, top, 30)
        text = ''.join(chr(p) for p in points if not 0xD800 <= p < 0xE000)
        ids = t.encode(text, parse_specials=False)
        self.assertEqual(t.decode(ids), text)
        self.assertLess(max(ids), t.vocab_size)

  @parameterized.parameters(*support.TEXTS)
  def test_texts(self, text):
    for path in (files.TOKENS, self.gguf(support.score_fields())):
      t = support.load(path)
      ids = t.encode(text, parse_specials=False)
      # SentencePiece writes its own sign for a space as a space.
      want = text if path == files.TOKENS else text.replace('▁', ' ')
      self.assertEqual(t.decode(ids), want)

  def test_qwen2_composes(self):
    text = 'cafe\u0301'
    t = support.load(self.gguf(support.byte_fields(pre='qwen2')))
    want = unicodedata.normalize('NFC', text)
    self.assertEqual(t.decode(t.encode(text)), want)

  def test_pieces(self):
    t = support.load(self.gguf(support.score_fields()))
    ids = t.encode('the cat\n</s>')
    pieces = t.pieces(ids)
    self.assertEqual(pieces[0], '<s>')
    self.assertEqual(pieces[-1], '</s>')
    self.assertEqual(''.join(pieces[1:-1]), ' the cat\n')
    t = support.load(files.TOKENS)
    self.assertEqual(t.pieces(t.encode(' 12€')), [' ', '1', '2', *'\ufffd' * 3])

  def test_decode_with_specials(self):
    t = support.load(files.TOKENS)
    text = support.TEXTS[-2]
    ids = t.encode(text)
    self.assertEqual(t.decode(ids, skip_specials=False), text)
    self.assertEqual(t.decode(ids), 'user\nhi\n<|im_end')


class MembersTest(support.Case):
  def test_ids(self):
    t = support.load(files.TOKENS)
    self.assertEqual((t.bos_id, t.eos_id, t.pad_id), (0, 2, None))
    self.assertEqual(t.stop_ids, (0, 2))
    size = tokenizers.Tokenizer.from_file(str(files.TOKENS / 'tokenizer.json'))
    self.assertEqual(t.vocab_size, size.get_vocab_size())
    self.assertEqual(t.special_id('<|im_start|>'), 1)

  def test_stop_ids_of_generation_config(self):
    folder = self.copy()
    (folder / 'generation_config.json').write_text('{"eos_token_id": [7, 1]}')
    self.assertEqual(support.load(folder).stop_ids, (0, 1, 2, 7))

  def test_stop_ids_of_gguf(self):
    t = support.load(
      self.gguf(support.byte_fields(eot_token_id=9, pad_token_id=None))
    )
    self.assertEqual(t.stop_ids, (0, 2, 9))

  def test_turn_ends_filed_as_words_are_special(self):
    kinds = [1] * len(support.byte_fields()['tokens'])
    t = support.load(
      self.gguf(support.byte_fields(token_type=kinds, eos_token_id=None))
    )
    self.assertEqual(t.encode('<|im_end|>'), [2])
    self.assertNotIn(2, t.encode('<|im_end|>', parse_specials=False))

  def test_special_id_names_what_there_is(self):
    with self.assertRaisesRegex(
      ValueError, r"'<mask>'.*<\|endoftext\|>, <\|im_end\|>, <\|im_start\|>"
    ):
      support.load(files.TOKENS).special_id('<mask>')

  def test_tokens_of_the_config_are_added(self):
    folder = self.copy(pad_token='<pad>')
    t = support.load(folder)
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
    t = support.load(folder)
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
      support.load(folder).encode('<s>', parse_specials=False)

  def test_add_bos(self):
    t = support.load(files.TOKENS)
    self.assertEqual(t.encode('a', add_bos=True), [0, *t.encode('a')])
    t = support.load(self.copy(bos_token=None))
    with self.assertRaisesRegex(ValueError, 'needs a bos token'):
      t.encode('a', add_bos=True)

  def test_lone_surrogate(self):
    t = support.load(files.TOKENS)
    for call in (t.encode, lambda text: t.encode_batch(['a', text])):
      with self.assertRaisesRegex(ValueError, 'lone surrogate at character 1'):
        call('a\ud800')

  def test_pickle(self):
    t = support.load(self.gguf(support.byte_fields()))
    again = pickle.loads(pickle.dumps(t))
    for parse in (True, False):
      got = again.encode_batch(support.TEXTS, parse_specials=parse)
      self.assertEqual(got, t.encode_batch(support.TEXTS, parse_specials=parse))
    self.assertEqual(again.fingerprint, t.fingerprint)
    self.assertEqual(again.chat(support.PEER['messages']), support.PEER['chat'])

  def test_threads_do_not_switch_specials_for_each_other(self):
    t = support.load(files.TOKENS)
    text = support.TEXTS[-2] * 20

    def encode(parse):
      return t.encode(text, parse_specials=parse)

    wanted = {parse: encode(parse) for parse in (True, False)}
    parses = [True, False] * 50
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
      for parse, ids in zip(parses, pool.map(encode, parses), strict=True):
        self.assertEqual(ids, wanted[parse])

  def test_fingerprint(self):
    prints = [
      support.load(self.gguf(support.byte_fields(**changes))).fingerprint
      for changes in (
        {},
        {'pre': 'gpt-2'},
        {'merges': support.byte_fields()['merges'][:-1]},
        {'add_bos_token': True},
        {'eos_token_id': 1},
        {'chat_template': 'x'},
      )
    ]
    self.assertLen(set(prints), len(prints))
    self.assertRegex(prints[0], '^[0-9a-f]{16}$')
    elsewhere = self.copy()
    self.assertEqual(
      support.load(elsewhere).fingerprint,
      support.load(files.TOKENS).fingerprint,
    )


class BrokenTest(support.Case):
  @parameterized.parameters('merges', 'tokens', 'model')
  def test_gguf_lacks(self, key):
    path = self.gguf(support.byte_fields(**{key: None}))
    with self.assertRaisesRegex(
      weights.CheckpointError, f'tokenizer.ggml.{key}'
    ):
      support.load(path)

  def test_gguf_lacks_scores(self):
    with self.assertRaisesRegex(weights.CheckpointError, 'ggml.scores'):
      support.load(self.gguf(support.score_fields(scores=None)))

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
      support.load(self.gguf(support.byte_fields(**changes)))

  def test_gguf_of_doubled_tokens(self):
    fields = support.byte_fields()
    fields['tokens'][9] = fields['tokens'][8]
    with self.assertRaisesRegex(weights.CheckpointError, 'that differ'):
      support.load(self.gguf(fields))

  def test_cut_file(self):
    path = self.gguf(support.byte_fields())
    path.write_bytes(path.read_bytes()[:2000])
    with self.assertRaisesRegex(weights.CheckpointError, 'whole GGUF'):
      support.load(path)

  def test_nothing_there(self):
    with self.assertRaisesRegex(FileNotFoundError, 'found nothing'):
      support.load(self.folder / 'none')
    with self.assertRaisesRegex(FileNotFoundError, 'a tokenizer.json'):
      support.load(self.folder)

  def test_no_json(self):
    folder = self.copy()
    (folder / 'special_tokens_map.json').write_text('[1]')
    with self.assertRaisesRegex(ValueError, 'expected an object'):
      support.load(folder)
    (folder / 'tokenizer.json').write_text('{')
    with self.assertRaisesRegex(ValueError, 'the JSON of a tokenizer'):
      support.load(folder)

  def test_every_pre_builds(self):
    for name, make in gguf_tokenizer.PRE.items():
      with self.subTest(name):
        self.assertNotEmpty(make().pre_tokenize_str('a 1'))


if __name__ == '__main__':
  absltest.main()
