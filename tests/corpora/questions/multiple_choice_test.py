"""The likeliest option, by the sum and by the byte."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from corpora.questions import multiple_choice
from corpora.questions import question as questions_lib
from lm import transformer


def question(answers, choices):
  return questions_lib.Question(
    id='0', prompt='Where?', answers=answers, choices=choices
  )


class MultipleChoiceTest(absltest.TestCase):
  def test_plain_and_normalised_pick_differently(self):
    asked = [question(('a long one',), ('it', 'a long one', 'é'))]
    # Sums favour 'it'; by the byte -2 / 2 and -8 / 2 lose to -5 / 10.
    found = multiple_choice.accuracy(asked, [np.array([-2.0, -5.0, -8.0])])
    self.assertEqual((found.plain, found.normalised), (0.0, 1.0))
    self.assertAlmostEqual(found.chance, 1 / 3)

  def test_several_answers_count(self):
    asked = [question(('a', 'b'), ('a', 'b', 'c', 'd'))] * 2
    scores = [np.array([0, 0, -1, -1.0]), np.array([-1, -1, -1, 0.0])]
    found = multiple_choice.accuracy(asked, scores)
    self.assertEqual((found.plain, found.chance), (0.5, 0.5))
    self.assertEqual(found.questions, 2)

  def test_likelihoods_are_those_of_one_forward_pass(self):
    config = transformer.TransformerConfig(
      vocab_size=256, layers=1, width=8, heads=2, mlp_width=12
    )
    model = transformer.Transformer(config)
    params = jax.jit(
      lambda key: nn.unbox(model.init(key, jnp.zeros((1, 3), jnp.int32)))
    )(jax.random.key(0))['params']

    @jax.jit
    def read(tokens):
      hidden = model.apply({'params': params}, tokens[None]).hidden[0]
      return jax.nn.log_softmax(hidden @ transformer.unembedding(params).T)

    def encode(text):
      return list(text.encode())

    asked = question(('sea',), ('sea', 'a hill'))._replace(context='Look.')
    (got,) = multiple_choice.likelihoods(config, params, encode, [asked])
    prompt = encode('Look.\nQuestion: Where?\nAnswer:')
    for value, choice in zip(got, asked.choices, strict=True):
      option = encode(f' {choice}')
      # What follows a token does not change it.
      ids = np.zeros(64, np.int32)
      ids[: len(prompt) + len(option)] = prompt + option
      logp = np.asarray(read(ids))
      want = sum(
        logp[len(prompt) - 1 + i, token] for i, token in enumerate(option)
      )
      np.testing.assert_allclose(value, want, rtol=1e-4)


if __name__ == '__main__':
  absltest.main()
