"""Serve one GGUF file with llama.cpp on a free loopback port: print the origin, then run until stdin closes.

A process of its own, so that its threads and its log are not the test runner's.
"""

import sys

import xllamacpp


def serve(path):
    wanted = xllamacpp.CommonParams()
    wanted.model.path = path
    wanted.model_alias = ["tiny"]
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = 0
    wanted.n_ctx, wanted.n_parallel, wanted.n_gpu_layers = 1024, 2, 0
    wanted.cpuparams.n_threads = 1
    wanted.warmup = False
    wanted.embedding, wanted.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return xllamacpp.Server(wanted)


if __name__ == "__main__":
    server = serve(sys.argv[1])
    print(server.listening_address, flush=True)
    sys.stdin.read()
