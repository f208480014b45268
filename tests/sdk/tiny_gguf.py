"""Write a tiny llama model with random weights (about half a megabyte).

It talks nonsense, but a real llama.cpp server loads it, templates chats for it and samples from it,
so the gateway can be held against a real server without a download. The same seed gives the same file.
"""

import sys
from pathlib import Path

import gguf
import numpy

WIDTH, HEADS, LAYERS, INNER, CONTEXT = 64, 4, 2, 128, 2048
SPECIAL = [("<unk>", gguf.TokenType.UNKNOWN), ("<s>", gguf.TokenType.CONTROL), ("</s>", gguf.TokenType.CONTROL)]
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def vocabulary():
    """SentencePiece with byte fallback: three specials, all 256 bytes, and one piece for each ASCII character."""
    tokens = list(SPECIAL)
    tokens += [(f"<0x{byte:02X}>", gguf.TokenType.BYTE) for byte in range(256)]
    tokens += [("\u2581", gguf.TokenType.NORMAL)]
    tokens += [(chr(code), gguf.TokenType.NORMAL) for code in range(33, 127)]
    return tokens


def weights(size, rng):
    def matrix(rows, columns):
        return rng.normal(0, 0.02, (rows, columns)).astype(numpy.float32)

    yield "token_embd.weight", matrix(size, WIDTH)
    yield "output_norm.weight", numpy.ones(WIDTH, numpy.float32)
    output = matrix(size, WIDTH)
    yield "output.weight", output
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        yield f"{block}.attn_norm.weight", numpy.ones(WIDTH, numpy.float32)
        yield f"{block}.ffn_norm.weight", numpy.ones(WIDTH, numpy.float32)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{block}.{name}.weight", matrix(WIDTH, WIDTH)
        yield f"{block}.ffn_gate.weight", matrix(INNER, WIDTH)
        yield f"{block}.ffn_up.weight", matrix(INNER, WIDTH)
        yield f"{block}.ffn_down.weight", matrix(WIDTH, INNER)


def write(path):
    tokens = vocabulary()
    model = gguf.GGUFWriter(str(path), "llama")
    model.add_name("tiny-random")
    model.add_context_length(CONTEXT)
    model.add_embedding_length(WIDTH)
    model.add_block_count(LAYERS)
    model.add_feed_forward_length(INNER)
    model.add_head_count(HEADS)
    model.add_head_count_kv(HEADS)
    model.add_rope_dimension_count(WIDTH // HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_vocab_size(len(tokens))
    model.add_file_type(gguf.LlamaFileType.ALL_F32)
    model.add_tokenizer_model("llama")
    model.add_token_list([text.encode() for text, _ in tokens])
    model.add_token_scores([0.0 if kind != gguf.TokenType.NORMAL else -float(n) for n, (_, kind) in enumerate(tokens)])
    model.add_token_types([int(kind) for _, kind in tokens])
    model.add_unk_token_id(0)
    model.add_bos_token_id(1)
    model.add_eos_token_id(2)
    model.add_chat_template(TEMPLATE)
    for name, values in weights(len(tokens), numpy.random.default_rng(7)):
        model.add_tensor(name, values)
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
