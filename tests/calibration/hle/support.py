"""An invented exam in the schema of the real one, with a marker in it."""

MARKER = 'zyxomel'
CANARY = 'hle:TEST:00000000-0000-0000-0000-000000000000'


def rows(count):
  """Questions about nothing; every third has options."""
  out = []
  for number in range(count):
    options = number % 3 == 0
    question = (
      f'In the land of {MARKER} number {number} there live {number} and '
      f'{number + 2} gorps; how many gorps live there all together, then?'
    )
    out.append(
      {
        'id': f'{number:024x}',
        'question': question + ('\nA. none\nB. some' if options else ''),
        'image': '',
        'answer': 'B' if options else str(2 * number + 2),
        'answer_type': 'multipleChoice' if options else 'exactMatch',
        'raw_subject': 'Gorps',
        'category': ('Math', 'Other')[number % 2],
        'canary': CANARY,
      }
    )
  return out
