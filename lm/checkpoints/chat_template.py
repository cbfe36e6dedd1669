"""Chat templates: programs in Jinja that write a conversation as one text.

They come with a checkpoint and are not trusted: they run in a sandbox, on
copies made of JSON, with the names that templates of transformers expect.
"""

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox


class _Generation(jinja2.ext.Extension):
  """Reads `{% generation %}`, which marks what a model wrote; writes it."""

  tags = frozenset({'generation'})

  def parse(self, parser):
    line = next(parser.stream).lineno
    body = parser.parse_statements(('name:endgeneration',), drop_needle=True)
    return jinja2.nodes.Scope(body).set_lineno(line)


def _raise_exception(message):
  raise jinja2.TemplateError(message)


def _tojson(
  value, ensure_ascii=False, indent=None, separators=None, sort_keys=False
):
  # Jinja's own escapes for HTML.
  return json.dumps(
    value,
    ensure_ascii=ensure_ascii,
    indent=indent,
    separators=separators,
    sort_keys=sort_keys,
  )


def _strftime_now(form):
  return datetime.datetime.now().strftime(form)


class ChatTemplate:
  """A template, compiled once; `where` names its checkpoint in errors."""

  def __init__(self, source: str, where: str):
    self._source = source
    self._where = where

  @functools.cached_property
  def _compiled(self) -> jinja2.Template:
    if not self._source:
      raise ValueError(
        f'{self._where}: expected a chat template, found none: it is a base '
        'model; encode the text yourself or use a model made for chat'
      )
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
      trim_blocks=True,
      lstrip_blocks=True,
      extensions=[_Generation, jinja2.ext.loopcontrols],
    )
    environment.filters['tojson'] = _tojson
    environment.globals |= {
      'raise_exception': _raise_exception,
      'strftime_now': _strftime_now,
    }
    try:
      return environment.from_string(self._source)
    except jinja2.TemplateError as error:
      raise ValueError(
        f'{self._where}: expected a chat template in Jinja, came one that does '
        f'not compile: {error}'
      ) from error

  def render(
    self,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool,
    tokens: Mapping[str, str],
  ) -> str:
    """The text; ValueError where there is no template or it raises."""
    template = self._compiled
    try:
      plain = json.loads(json.dumps([dict(message) for message in messages]))
    except (TypeError, ValueError) as error:
      raise ValueError(
        f'messages must be a list of objects of JSON, like '
        f"{{'role': 'user', 'content': 'hi'}}; came {messages!r:.200}: {error}"
      ) from error
    try:
      return template.render(
        messages=plain,
        add_generation_prompt=add_generation_prompt,
        tools=None,
        documents=None,
        **tokens,
      )
    except Exception as error:  # whatever the template does
      raise ValueError(
        f'{self._where}: the chat template refuses the messages: '
        f'{type(error).__name__}: {error}'
      ) from error
