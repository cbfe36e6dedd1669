"""Questions about countries: capital, continent, currency, language, borders.

The facts are those of GeoNames in the asset `world_facts`. Left out are places
where nobody lives, states that have ended, and questions whose answer the
question spells out (Kuwait, Mexico). An id is `<relation>-<ISO code>-<number>`:
the code is the country asked about, and the number that of the wording.
"""

import json
import os
import pathlib
from collections.abc import Callable, Mapping

from corpora.questions.question import Question
from engine import assets

_TEMPLATES = {
  'capital': (
    'What is the capital of {}?',
    'Which city is the capital of {}?',
  ),
  'continent': (
    'Name the continent of {}.',
    'Which continent does {} belong to?',
  ),
  'currency': (
    'What is the currency of {}?',
    'Which money is used in {}?',
    'Which currency do people in {} pay with?',
  ),
  'language': (
    'Name a language spoken in {}.',
    'Which language do people speak in {}?',
  ),
  'neighbour': (
    'Name a country that borders {}.',
    'Which country is next to {}?',
    'Which country shares a border with {}?',
  ),
  'country': (
    'Which country has the capital {}?',
    '{} is the capital of which country?',
  ),
}
RELATIONS = tuple(_TEMPLATES)

_ENDED = {'AN', 'CS'}
# With 'the' before their names.
_ARTICLE = """
  AE AX BS CC CD CF CG CK DO FK FO GB GM IM IO KM KY MH MP MV NL PH PS SB SC TC
  US VA VG VI
"""
_CONTINENTS = {
  'AF': ('Africa',),
  'AN': ('Antarctica',),
  'AS': ('Asia',),
  'EU': ('Europe',),
  'NA': ('North America',),
  'OC': ('Oceania', 'Australia'),
  'SA': ('South America',),
}
# On two continents, or on one or the other by whom one asks.
_TWO_CONTINENTS = dict.fromkeys(
  ('AM', 'AZ', 'CY', 'GE', 'KZ', 'RU', 'TR'), ('Europe', 'Asia')
)
_NAMES = {
  'BA': ('Bosnia',),
  'CD': ('DR Congo', 'DRC', 'Congo', 'Zaire'),
  'CG': ('Congo',),
  'CI': ("Cote d'Ivoire",),
  'CN': ("People's Republic of China",),
  'CV': ('Cape Verde',),
  'CZ': ('Czech Republic',),
  'FM': ('Federated States of Micronesia',),
  'GB': ('UK', 'Great Britain', 'Britain', 'England'),
  'KR': ('Korea', 'Republic of Korea'),
  'MK': ('Macedonia',),
  'MM': ('Burma',),
  'MO': ('Macau',),
  'NL': ('Holland',),
  'PS': ('Palestine',),
  'RU': ('Russian Federation',),
  'SZ': ('Swaziland',),
  'TL': ('East Timor',),
  'TR': ('Turkiye',),
  'US': ('USA', 'America', 'United States of America'),
  'VA': ('Vatican City', 'Holy See'),
  'VI': ('US Virgin Islands', 'Virgin Islands'),
}
_CAPITALS = {
  'BI': ('Bujumbura',),
  'BO': ('La Paz',),
  'CI': ('Abidjan',),
  'GQ': ('Malabo',),
  'IN': ('Delhi',),
  'KI': ('South Tarawa',),
  'KZ': ('Astana',),
  'LK': ('Sri Jayawardenepura Kotte', 'Kotte'),
  'MM': ('Naypyidaw', 'Naypyitaw'),
  'MN': ('Ulan Bator',),
  'PS': ('Ramallah',),
  'PW': ('Ngerulmud',),
  'SZ': ('Lobamba',),
  'UA': ('Kiev',),
  'US': ('Washington DC', 'Washington, D.C.'),
  'ZA': ('Cape Town', 'Bloemfontein'),
}
_CURRENCIES = {
  'Bolivar Soberano': ('bolivar',),
  'Krona': ('krone', 'kronor'),
  'Krone': ('krona', 'kroner'),
  "Pa'anga": ('paanga',),
  'Rial': ('riyal',),
  'Riels': ('riel',),
  'Ruble': ('rouble',),
  'Belarusian ruble': ('ruble', 'rouble'),
  'Tugrik': ('togrog',),
  'Yuan Renminbi': ('yuan', 'renminbi'),
}
# ISO 639 codes; a language without a name here is no answer.
_LANGUAGES = """
  af=Afrikaans am=Amharic ar=Arabic ay=Aymara az=Azerbaijani be=Belarusian
  bg=Bulgarian bi=Bislama bn=Bengali bs=Bosnian ca=Catalan ceb=Cebuano
  ch=Chamorro cmn=Mandarin co=Corsican cs=Czech cy=Welsh da=Danish de=German
  dv=Dhivehi dz=Dzongkha el=Greek en=English es=Spanish et=Estonian eu=Basque
  fa=Persian fi=Finnish fil=Filipino fj=Fijian fo=Faroese fr=French fy=Frisian
  ga=Irish gd=Gaelic gil=Gilbertese gl=Galician gn=Guarani gu=Gujarati gv=Manx
  ha=Hausa haw=Hawaiian he=Hebrew hi=Hindi hr=Croatian ht=Creole hu=Hungarian
  hy=Armenian id=Indonesian ig=Igbo is=Icelandic it=Italian iu=Inuktitut
  ja=Japanese jv=Javanese ka=Georgian kg=Kongo kk=Kazakh kl=Greenlandic
  km=Khmer kn=Kannada ko=Korean ku=Kurdish ky=Kyrgyz la=Latin lb=Luxembourgish
  lg=Luganda ln=Lingala lo=Lao lt=Lithuanian lv=Latvian mg=Malagasy
  mh=Marshallese mi=Maori mk=Macedonian ml=Malayalam mn=Mongolian mr=Marathi
  ms=Malay mt=Maltese my=Burmese na=Nauruan nb=Norwegian ne=Nepali niu=Niuean
  nl=Dutch nn=Norwegian no=Norwegian nso=Sotho ny=Chichewa oc=Occitan om=Oromo
  pa=Punjabi pap=Papiamento pau=Palauan pl=Polish ps=Pashto pt=Portuguese
  qu=Quechua rm=Romansh rn=Kirundi ro=Romanian rom=Romani ru=Russian
  rw=Kinyarwanda sd=Sindhi se=Sami sg=Sango si=Sinhala sk=Slovak sl=Slovenian
  sm=Samoan sn=Shona so=Somali sq=Albanian sr=Serbian ss=Swazi st=Sotho
  sv=Swedish sw=Swahili ta=Tamil te=Telugu tet=Tetum tg=Tajik th=Thai
  ti=Tigrinya tk=Turkmen tkl=Tokelauan tl=Tagalog tn=Tswana to=Tongan
  tr=Turkish ts=Tsonga tvl=Tuvaluan ty=Tahitian ug=Uyghur uk=Ukrainian ur=Urdu
  uz=Uzbek ve=Venda vi=Vietnamese wo=Wolof xh=Xhosa yo=Yoruba yue=Cantonese
  zh=Chinese zu=Zulu
"""
_OTHER_NAMES = {
  'az': ('Azeri',),
  'dv': ('Maldivian',),
  'fa': ('Farsi', 'Dari'),
  'fil': ('Tagalog',),
  'gil': ('Kiribati',),
  'ht': ('Haitian Creole', 'Haitian'),
  'ms': ('Bahasa Melayu',),
  'id': ('Bahasa Indonesia', 'Bahasa'),
  'ro': ('Moldovan',),
  'si': ('Sinhalese',),
  'sl': ('Slovene',),
  'ss': ('Swati',),
  'st': ('Sesotho',),
  'tl': ('Filipino',),
  'tn': ('Setswana',),
  'zh': ('Mandarin', 'Mandarin Chinese'),
}

_Rows = Mapping[str, Mapping[str, str]]


def questions(
  relation: str, *, data_dir: str | os.PathLike | None = None
) -> list[Question]:
  """The questions of a relation, in the order of the file.

  Args:
    relation: one of `RELATIONS`; `country` asks a capital's country.
    data_dir: the cache, see `assets.cache_dir`.

  Raises:
    ValueError: another relation, or a file of another form.
    FileNotFoundError: the asset is neither here nor to be had.
  """
  return read(assets.fetch('world_facts', data_dir=data_dir), relation)


def read(path: str | os.PathLike, relation: str) -> list[Question]:
  """The questions that a file of that form answers, such as a smaller copy.

  Args:
    path: JSON, an object of countries by their ISO code.
    relation: see `questions`.

  Raises:
    ValueError: see `questions`.
  """
  if relation not in _TEMPLATES:
    raise ValueError(
      f'relation must be one of {", ".join(RELATIONS)}, got {relation!r}'
    )
  path = pathlib.Path(path)
  try:
    rows = _lived_in(json.loads(path.read_text(encoding='utf-8')))
    facts = {iso: _FACTS[relation](iso, rows) for iso in rows}
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f'{path}: expected an object of countries, each with name, capital, '
      'continentcode, currencyname, languages, neighbours and population '
      f'({error!r})'
    ) from error
  out, asked = [], set()
  for iso, answers in facts.items():
    subject = (
      rows[iso]['capital'] if relation == 'country' else _subject(iso, rows)
    )
    # Two countries may name their capitals alike: one question, both right.
    if not answers or subject in asked:
      continue
    asked.add(subject)
    for number, template in enumerate(_TEMPLATES[relation]):
      text = template.format(subject)
      out.append(
        Question(
          id=f'{relation}-{iso}-{number}',
          prompt=text[0].upper() + text[1:],
          answers=answers,
          source=f'world_facts/{relation}',
        )
      )
  return out


def entries(
  relation: str, *, data_dir: str | os.PathLike | None = None
) -> list[tuple[str, ...]]:
  """Every thing that could be an answer, right or wrong, by all its names.

  Args:
    relation: one of `RELATIONS`.
    data_dir: the cache, see `assets.cache_dir`.

  Raises:
    ValueError: another relation.
    FileNotFoundError: the asset is neither here nor to be had.
  """
  if relation not in _TEMPLATES:
    raise ValueError(
      f'relation must be one of {", ".join(RELATIONS)}, got {relation!r}'
    )
  if relation == 'continent':
    return list(_CONTINENTS.values())
  if relation == 'language':
    pairs = (pair.split('=') for pair in _LANGUAGES.split())
    return [(name, *_OTHER_NAMES.get(code, ())) for code, name in pairs]
  path = assets.fetch('world_facts', data_dir=data_dir)
  rows = _lived_in(json.loads(path.read_text(encoding='utf-8')))
  fact = _FACTS[relation]
  if relation in ('neighbour', 'country'):
    fact = _names
  return [names for iso in rows if (names := fact(iso, rows))]


def _lived_in(rows: _Rows) -> _Rows:
  return {
    iso: {key: str(value).strip() for key, value in row.items()}
    for iso, row in rows.items()
    if row['population'] and iso not in _ENDED
  }


def _name(iso: str, rows: _Rows) -> str:
  return rows[iso]['name'].removeprefix('The ')


def _subject(iso: str, rows: _Rows) -> str:
  return f'{"the " if iso in _ARTICLE.split() else ""}{_name(iso, rows)}'


def _names(iso: str, rows: _Rows) -> tuple[str, ...]:
  return (_name(iso, rows), *_NAMES.get(iso, ()))


def _spelt_out(iso: str, rows: _Rows) -> bool:
  """Whether country and capital give each other away."""
  name, capital = _name(iso, rows), rows[iso]['capital']
  return not capital or name in capital or capital in name


def _capital(iso: str, rows: _Rows) -> tuple[str, ...]:
  if _spelt_out(iso, rows):
    return ()
  return (rows[iso]['capital'], *_CAPITALS.get(iso, ()))


def _country(iso: str, rows: _Rows) -> tuple[str, ...]:
  if _spelt_out(iso, rows):
    return ()
  alike = [
    other for other in rows if rows[other]['capital'] == rows[iso]['capital']
  ]
  return tuple(name for other in alike for name in _names(other, rows))


def _continent(iso: str, rows: _Rows) -> tuple[str, ...]:
  return _TWO_CONTINENTS.get(iso) or _CONTINENTS[rows[iso]['continentcode']]


def _currency(iso: str, rows: _Rows) -> tuple[str, ...]:
  name = rows[iso]['currencyname']
  names = (name.lower(), *_CURRENCIES.get(name, ())) if name else ()
  return names + tuple(f'{one}s' for one in names)


def _language(iso: str, rows: _Rows) -> tuple[str, ...]:
  codes = [code.split('-')[0] for code in rows[iso]['languages'].split(',')]
  known = dict(pair.split('=') for pair in _LANGUAGES.split())
  names = []
  for code in codes:
    if code in known:
      names += known[code], *_OTHER_NAMES.get(code, ())
  return tuple(dict.fromkeys(names))


def _neighbour(iso: str, rows: _Rows) -> tuple[str, ...]:
  codes = rows[iso]['neighbours'].split(',')
  return tuple(
    name for code in codes if code in rows for name in _names(code, rows)
  )


_FACTS: Mapping[str, Callable[[str, _Rows], tuple[str, ...]]] = {
  'capital': _capital,
  'continent': _continent,
  'currency': _currency,
  'language': _language,
  'neighbour': _neighbour,
  'country': _country,
}
