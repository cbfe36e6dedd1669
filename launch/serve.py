r"""Serves a model to OpenAI-compatible clients on this machine.

python -m launch.serve --model=smollm2_135m_instruct --port=8321

Then http://127.0.0.1:8321/v1 is the base url of any client;
lm/judging/endpoint.py is ours. There is no key and no encryption, so it listens
to this machine alone unless --host says otherwise. SIGTERM and Ctrl-C end it.
"""

import ipaddress
import signal
import threading

from absl import flags, logging

from launch import cli
from lm.serving import backend as backend_lib
from lm.serving import server as server_lib

_MODEL = flags.DEFINE_string(
  'model', None, 'path, asset, or organisation/model of the hub'
)
_ACCEPT = flags.DEFINE_string('accept_licence', '', 'of an asset that wants it')
_HOST = flags.DEFINE_string('host', '127.0.0.1', 'address to listen at')
_PORT = flags.DEFINE_integer('port', 8321, 'port; 0 takes a free one')
_SLOTS = flags.DEFINE_integer('slots', 8, 'sequences decoded at once')
_DTYPE = flags.DEFINE_enum(
  'dtype',
  'float32',
  ('float32', 'bfloat16', 'int8'),
  'bfloat16 is faster and less exact; int8 takes half of its memory',
)
_TOP = flags.DEFINE_integer('top', 5, 'alternatives that logprobs can show')
_SIZE = flags.DEFINE_integer('size', 2048, 'longest prompt and continuation')


def is_local(host: str) -> bool:
  """Whether only this machine can reach what listens there."""
  try:
    return ipaddress.ip_address(host).is_loopback
  except ValueError:
    return host == 'localhost'


def serve(server: server_lib.Server) -> None:
  """Serves until SIGTERM or SIGINT, then ends what is under way."""
  ended = threading.Event()
  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: ended.set())
  thread = threading.Thread(target=server.serve_forever)
  thread.start()
  host, port = server.server_address[:2]
  logging.info(
    'Serving %s at http://%s:%d/v1', server.backend.model, host, port
  )
  ended.wait()
  logging.info('Stopping')
  server.stop()
  thread.join()


def main() -> None:
  if _MODEL.value is None:
    raise ValueError('--model must name a model')
  # Late: --help and bad flags need no accelerator.
  from launch import setup
  from lm.judging import local

  setup.compile_cache()
  with local.Local.open(
    _MODEL.value,
    accept_licence=_ACCEPT.value,
    dtype=_DTYPE.value,
    slots=_SLOTS.value,
    size=_SIZE.value,
    top=_TOP.value,
  ) as model:
    backend = backend_lib.Backend(
      tokenizer=model.tokenizer,
      engine=model.engine,
      model=_MODEL.value,
      vocab_size=model.model.config.vocab_size,
    )
    server = server_lib.make_server(_HOST.value, _PORT.value, backend)
    if not is_local(_HOST.value):
      logging.warning(
        '--host=%s: whoever reaches this machine may use the model; there is '
        'no key and no encryption',
        _HOST.value,
      )
    serve(server)


if __name__ == '__main__':
  cli.main(main, keep_memory=False)
