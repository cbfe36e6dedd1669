r"""Words that every text has, by their mean TF-IDF over a corpus (section 3.3).

The paper's release reads the 20 Newsgroups and takes a word whose mean TF-IDF
is above .012. That corpus is not ours to ship. `stop_words.txt` is made by the
same rule from the summaries of Wikipedia's vital articles (the asset
`wiki_summaries`), so the words are not the release's own.

python -m calibration.selfreflect.make_stop_words \
  > calibration/selfreflect/stop_words.txt
"""

from collections.abc import Mapping, Sequence

from absl import app
from sklearn.feature_extraction import text

from corpora.text import sources

THRESHOLD = 0.012


def mean_tfidf(texts: Sequence[str]) -> dict[str, float]:
  """The mean over texts of each word's TF-IDF; 0 where a text lacks it.

  Words are those of scikit-learn's default vectoriser: lower case, two
  letters or digits at least.
  """
  vectoriser = text.TfidfVectorizer()
  means = vectoriser.fit_transform(texts).mean(axis=0).A1
  return dict(
    zip(vectoriser.get_feature_names_out(), means.tolist(), strict=True)
  )


def above(
  means: Mapping[str, float], threshold: float = THRESHOLD
) -> list[str]:
  """Stop words, in alphabetical order. An unknown word is none."""
  return sorted(word for word, mean in means.items() if mean > threshold)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'expected no argument, came {argv[1]}')
  docs = sources.open('wiki_summaries', 'train')
  print('\n'.join(above(mean_tfidf([doc['text'] for doc in docs]))))


if __name__ == '__main__':
  app.run(main)
