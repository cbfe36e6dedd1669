r"""Fetches, tokenises and (with --context) packs a corpus; resumable.

python -m launch.prepare --corpus=wiki_summaries --context=256
python -m launch.prepare --corpus=jsonl:/data/articles.jsonl --vocab_size=32768
"""

import sys

from absl import app, flags

from corpora.text import packing, prepare, sources
from engine import stop
from engine.report import tables

_CORPUS = flags.DEFINE_string(
  'corpus', 'wiki_summaries', f'What to read: {sources.KINDS}.'
)
_VOCAB_SIZE = flags.DEFINE_integer(
  'vocab_size', 8192, 'Ids of the tokenizer to train, specials included.'
)
_TOKENIZER = flags.DEFINE_string(
  'tokenizer', '', 'A tokenizer.json to use instead of training one.'
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', '', 'The cache; default $SOCRATIC_DATA or ~/.cache/socratic.'
)
_CONTEXT = flags.DEFINE_integer(
  'context', 0, 'Inputs of a record; 0 leaves the corpus unpacked.'
)


def table(prepared: prepare.Prepared, context: int) -> str:
  """A line a split: documents, tokens, bytes, folder (and packing)."""
  header = ['split', 'documents', 'tokens', 'bytes']
  if context:
    header += ['records', 'full']
  rows = [[*header, 'folder']]
  for name, counts in prepared.summary.items():
    row = [name, *(f'{counts[key]:,}' for key in header[1:4])]
    split = prepared.split(name)
    if context and counts['documents']:
      records = packing.records(split, context, prepared.tokenizer.pad_id)
      plan = records.plan
      row += [f'{plan.num_records:,}', f'{plan.utilisation:.1%}']
    elif context:
      row += ['0', '-']
    rows.append([*row, str(split.folder)])
  folders = [row.pop() for row in rows]
  lines = tables.text(rows, right=True).splitlines()
  return '\n'.join(
    f'{line}  {folder}' for line, folder in zip(lines, folders, strict=True)
  )


def main(argv: list[str]) -> None:
  try:
    if argv[1:]:
      raise ValueError(
        f'expected flags only, came {argv[1]!r}; write --corpus={argv[1]}'
      )
    if _CONTEXT.value < 0:
      raise ValueError(
        f'context must be positive, or 0 to leave the corpus unpacked, got '
        f'{_CONTEXT.value}; change --context'
      )
    with stop.immediate():
      prepared = prepare.prepare(
        _CORPUS.value,
        vocab_size=_VOCAB_SIZE.value,
        tokenizer=_TOKENIZER.value,
        data_dir=_DATA_DIR.value or None,
      )
      text = table(prepared, _CONTEXT.value)
  except (ValueError, OSError) as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)
  print(f'vocabulary  {prepared.tokenizer.vocab_size:,}')
  print(text)


def _parse(argv: list[str]) -> list[str]:
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)


if __name__ == '__main__':
  app.run(main, flags_parser=_parse)
