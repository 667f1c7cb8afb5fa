"""The part of llama.cpp's tensor library (ggml.h, gguf.h) that reads and writes GGUF files.

llama-cpp-python ships the library and does not declare these functions.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import llama_cpp
from llama_cpp._ctypes_extensions import load_shared_library

SILENT = llama_cpp.llama_log_callback(lambda level, text, user_data: None)


def be_quiet() -> None:
    """Keep llama.cpp's log off stderr: errors are raised, in one line."""
    llama_cpp.llama_log_set(SILENT, ctypes.c_void_p(0))


class GgufInitParams(ctypes.Structure):
    """gguf.h's gguf_init_params."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


class GgmlInitParams(ctypes.Structure):
    """ggml.h's ggml_init_params."""

    _fields_ = (
        ("mem_size", ctypes.c_size_t),
        ("mem_buffer", ctypes.c_void_p),
        ("no_alloc", ctypes.c_bool),
    )


_ToFloat = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class _TypeTraits(ctypes.Structure):
    """The beginning of ggml.h's ggml_type_traits."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", _ToFloat),
    )


@functools.cache
def ggml() -> ctypes.CDLL:
    """Return the library, with the functions that listen-edge calls declared."""
    library: ctypes.CDLL = load_shared_library("ggml-base", Path(llama_cpp.__file__).parent / "lib")
    pointer, size, index, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, ctypes.c_char_p
    sizes = ctypes.POINTER(ctypes.c_int64)
    for name, result, arguments in (
        ("gguf_init_from_file", pointer, (text, GgufInitParams)),
        ("gguf_init_empty", pointer, ()),
        ("gguf_free", None, (pointer,)),
        ("gguf_set_kv", None, (pointer, pointer)),
        ("gguf_get_n_kv", index, (pointer,)),
        ("gguf_get_key", text, (pointer, index)),
        ("gguf_remove_key", index, (pointer, text)),
        ("gguf_set_val_str", None, (pointer, text, text)),
        ("gguf_set_val_u32", None, (pointer, text, ctypes.c_uint32)),
        ("gguf_get_n_tensors", index, (pointer,)),
        ("gguf_find_tensor", index, (pointer, text)),
        ("gguf_get_tensor_name", text, (pointer, index)),
        ("gguf_get_tensor_ne", sizes, (pointer, index)),
        ("gguf_get_tensor_type", ctypes.c_int, (pointer, index)),
        ("gguf_get_tensor_offset", size, (pointer, index)),
        ("gguf_get_data_offset", size, (pointer,)),
        ("gguf_add_tensor", None, (pointer, pointer)),
        ("gguf_set_tensor_data", None, (pointer, text, pointer)),
        ("gguf_write_to_file", ctypes.c_bool, (pointer, text, ctypes.c_bool)),
        ("ggml_log_set", None, (pointer, pointer)),
        ("ggml_init", pointer, (GgmlInitParams,)),
        ("ggml_free", None, (pointer,)),
        ("ggml_tensor_overhead", size, ()),
        ("ggml_new_tensor", pointer, (pointer, ctypes.c_int, ctypes.c_int, sizes)),
        ("ggml_set_name", pointer, (pointer, text)),
        ("ggml_row_size", size, (ctypes.c_int, ctypes.c_int64)),
        ("ggml_get_type_traits", ctypes.POINTER(_TypeTraits), (ctypes.c_int,)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.ggml_log_set(SILENT, None)  # errors are raised, in one line
    return library
