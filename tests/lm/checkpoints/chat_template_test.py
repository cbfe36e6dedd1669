"""Conversations through the template of a checkpoint."""

from absl.testing import absltest

from tests import files
from tests.lm.checkpoints import tokenizer_support as support


class TemplateTest(support.Case):
  def test_file_wins_over_config(self):
    folder = self.copy()
    (folder / 'chat_template.jinja').write_text('{{ eos_token }}!')
    self.assertEqual(support.load(folder).render([]), '<|im_end|>!')

  def test_default_among_several(self):
    several = [
      {'name': 'tool_use', 'template': 'tools'},
      {'name': 'default', 'template': 'plain'},
    ]
    self.assertEqual(
      support.load(self.copy(chat_template=several)).render([]), 'plain'
    )

  def test_none(self):
    for path in (
      self.copy(chat_template=None),
      self.gguf(support.byte_fields(chat_template=None)),
    ):
      with self.assertRaisesRegex(ValueError, 'expected a chat template'):
        support.load(path).chat(support.PEER['messages'])

  def test_raises(self):
    with self.assertRaisesRegex(ValueError, 'TemplateError: no tools here'):
      support.load(files.TOKENS).render([{'role': 'tool', 'content': ''}])
    with self.assertRaisesRegex(ValueError, 'TypeError: .*Undefined'):
      support.load(files.TOKENS).render([{'role': 'user'}])

  def test_does_not_compile(self):
    with self.assertRaisesRegex(ValueError, 'does not compile'):
      support.load(self.copy(chat_template='{% if %}')).render([])

  def test_sandbox(self):
    for template in (
      "{{ ''.__class__.__mro__[1].__subclasses__() }}",
      '{{ messages.append(1) }}',
    ):
      t = support.load(self.gguf(support.byte_fields(chat_template=template)))
      with self.assertRaisesRegex(ValueError, 'SecurityError'):
        t.render([])

  def test_strftime_now(self):
    t = support.load(self.copy(chat_template="{{ strftime_now('%Y') }}"))
    self.assertRegex(t.render([]), r'^\d{4}$')

  def test_messages_that_are_no_json(self):
    for messages in ([{'role': 'user', 'content': {1, 2}}], ['hi']):
      with self.assertRaisesRegex(ValueError, 'objects of JSON'):
        support.load(files.TOKENS).render(messages)

  def test_bos_stands_once(self):
    t = support.load(self.copy(add_bos_token=True))
    self.assertEqual(t.chat(support.PEER['messages']), support.PEER['chat'])
    self.assertEqual(support.PEER['chat'].count(0), 1)


if __name__ == '__main__':
  absltest.main()
