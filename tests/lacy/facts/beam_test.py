"""The DoFn on Beam's local runner gives what one machine gives."""

import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from lacy.facts import annotate
from lm import tokenizer as tokenizer_lib
from tests.lacy.facts import annotate_test

try:
  import apache_beam as beam
  from apache_beam.testing import test_pipeline, util
except ModuleNotFoundError:
  beam = None


@absltest.skipIf(beam is None, 'needs the [beam] extra')
class AnnotateDoFnTest(parameterized.TestCase):
  @parameterized.parameters('caps_digits', 'ner_first')
  def test_equals_annotate(self, rule):
    from lacy.facts import beam as lacy_beam

    texts = annotate_test.TEXTS
    tokenizer = tokenizer_lib.Tokenizer.train(texts, vocab_size=320)
    ids = [
      [tokenizer.bos_id, *tokenizer.encode(t), tokenizer.eos_id] for t in texts
    ]
    docs = [{'title': str(i), 'text': t} for i, t in enumerate(texts)]
    split = annotate_test.Split(
      docs,
      np.concatenate(ids).astype(np.uint16),
      np.cumsum([0, *map(len, ids)]),
      pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())),
    )
    mask = annotate.annotate(split, tokenizer, rule=rule, progress=False)
    want = [
      (doc['title'], list(map(int, tokens)), np.packbits(facts).tobytes())
      for doc, tokens, facts in zip(
        docs,
        np.split(split.tokens, split.starts[1:-1]),
        np.split(mask, split.starts[1:-1]),
        strict=True,
      )
    ]
    with test_pipeline.TestPipeline() as pipeline:
      made = (
        pipeline
        | beam.Create(docs)
        | beam.ParDo(lacy_beam.AnnotateDoFn(tokenizer, rule))
        | beam.Map(lambda d: (d['title'], list(d['tokens']), d['facts']))
      )
      util.assert_that(made, util.equal_to(want))


if __name__ == '__main__':
  absltest.main()
