/*
 * The C interface of native SmartRAG plugins: accelerators for embedding and for generating.
 *
 * A native plugin is a shared library that runs inside the daemon, with all of its rights and without any fence: a
 * crash of the plugin is a crash of the daemon, and a call that hangs can't be ended. Write a WebAssembly plugin
 * unless you need what WebAssembly can't give, such as a GPU. docs/native-plugins.md tells how to install one.
 *
 * A library exports two symbols:
 *
 *     uint32_t smartrag_native_abi_version(void);
 *     const smartrag_plugin *smartrag_native_plugin(void);
 *
 * The host asks for the version first and goes no further if it is not SMARTRAG_NATIVE_ABI_VERSION. The table that
 * the second one returns, and everything it points to, must stay as it is until the process ends: the host never
 * unloads a library.
 *
 * Growing. Structs that begin with `struct_size` may grow at their end without a new version. Whoever makes such a
 * struct sets `struct_size = sizeof(the struct)` as it knows it: the plugin in its tables, the host in what it passes.
 * Nobody reads or writes beyond the size that stands there. All other structs are fixed for this version.
 *
 * Ownership. Nobody ever frees what the other side allocated.
 *   - What the host passes belongs to the host and is valid during the call only: copy what you keep.
 *   - Strings of `smartrag_embedder_info` and `smartrag_generator_info` belong to the plugin and stay valid until
 *     `destroy`. Texts of events belong to the plugin and stay valid until the next call on that generation.
 *   - Results of variable length are written into buffers of the host, whose capacity is passed along.
 *
 * Threads. Calls on one instance, including those on its generations, come one at a time, but not always from the
 * same thread: don't rely on thread-local state. Different instances are called at the same time. A plugin may have
 * threads of its own; they must not call the host.
 *
 * Unwinding. No C++ exception, Rust panic or longjmp may leave a function of the plugin: that is undefined behaviour
 * and, at best, ends the daemon. Catch everything and return an error.
 *
 * Time. A call should end within seconds. The host can't interrupt it; `next` of a generation is where an answer that
 * nobody reads any more is cancelled, so return from it often.
 *
 * Text is UTF-8 with its length in bytes and no NUL at the end; it may contain NULs. What the host passes is valid
 * UTF-8. What the plugin returns is checked, as are counts, dimensions and numbers; a call whose result does not hold
 * fails with `internal`. The exceptions are the strings of `smartrag_error`, where bad bytes are replaced.
 */
#ifndef SMARTRAG_NATIVE_H
#define SMARTRAG_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMARTRAG_NATIVE_ABI_VERSION 1u

/* A text: `len` bytes of UTF-8. `data` may be NULL where `len` is 0; see below where NULL means "none". */
typedef struct smartrag_str {
    const char *data;
    size_t len;
} smartrag_str;

/* What every call returns: SMARTRAG_OK, or why it failed. */
typedef uint32_t smartrag_status;
enum {
    SMARTRAG_OK = 0,
    SMARTRAG_INVALID_INPUT = 1,  /* the call's arguments make no sense for this plugin */
    SMARTRAG_INVALID_CONFIG = 2, /* the configuration given to `create` */
    SMARTRAG_UNSUPPORTED = 3,    /* a feature that this plugin does not have */
    SMARTRAG_LIMIT = 4,          /* a limit of the plugin's own; `detail` names it */
    SMARTRAG_MISSING_MODEL = 5,  /* a model file is absent or unusable; `detail` names it */
    SMARTRAG_UNAVAILABLE = 6,    /* a device or service that is absent or starting */
    SMARTRAG_UPSTREAM = 7,       /* a device or service that answered with a failure */
    SMARTRAG_TIMEOUT = 8,        /* a device or service that took too long */
    SMARTRAG_INTERNAL = 9,       /* a defect of the plugin */
    SMARTRAG_OTHER = 10          /* anything else; `detail` is a stable snake_case code */
};

/* Filled in by the plugin when it returns anything but SMARTRAG_OK. Comes zeroed but for `struct_size`. */
typedef struct smartrag_error {
    uint32_t struct_size;
    uint32_t retryable;      /* 1: the same call can succeed later */
    uint32_t retry_after_ms; /* how long to wait first; 0: unknown */
    uint32_t detail_len;     /* bytes of `detail` in use */
    uint32_t message_len;    /* bytes of `message` in use */
    char detail[128];
    char message[1024];      /* for people; says what to do */
} smartrag_error;

/* ---- Embedder: text to vectors ---- */

typedef struct smartrag_embedder_info {
    uint32_t struct_size;     /* set by the host */
    uint32_t dimension;       /* length of a vector, 1 to 8192 */
    uint32_t window_tokens;   /* tokens of the longest text that is embedded whole, not 0 */
    uint32_t batch_max;       /* texts in one call at most, not 0. A search waits while a batch is embedded. */
    float fusion_weight;      /* weight of the vector side in hybrid search, 0 to 1; 0.3 is a good start */
    smartrag_str model;       /* name of the model */
    smartrag_str fingerprint; /* not empty; changes whenever the same text would get another vector */
} smartrag_embedder_info;

enum { SMARTRAG_QUERY = 0, SMARTRAG_PASSAGE = 1 };

typedef struct smartrag_embedder {
    uint32_t struct_size;
    /* Called once after `create`; comes zeroed but for `struct_size`. */
    smartrag_status (*info)(void *instance, smartrag_embedder_info *info, smartrag_error *error);
    /* Tokens of each text, by the model's own tokenizer: `counts[0 .. text_count]`. */
    smartrag_status (*count_tokens)(void *instance, const smartrag_str *texts, size_t text_count, uint32_t *counts,
                                    smartrag_error *error);
    /*
     * Row-major, `text_count * dimension` numbers into `vectors`, which has room for `capacity` of them, never less
     * than that. Every row has length 1, or is all zero where the text holds nothing that the model knows.
     * `*written` is how many numbers were written. `purpose` is SMARTRAG_QUERY or SMARTRAG_PASSAGE.
     */
    smartrag_status (*embed)(void *instance, const smartrag_str *texts, size_t text_count, uint32_t purpose,
                             float *vectors, size_t capacity, size_t *written, smartrag_error *error);
} smartrag_embedder;

/* ---- Generator: question and passages to an answer ---- */

typedef struct smartrag_generator_info {
    uint32_t struct_size;     /* set by the host */
    uint32_t context_window;  /* tokens of prompt and answer together; 0: there is no such window */
    uint32_t strong;          /* 1: the model can be trusted to rewrite a question */
    uint32_t wants_sentences; /* 1: passages should come with `sentences` */
    smartrag_str model;       /* name of the model */
} smartrag_generator_info;

enum { SMARTRAG_SYSTEM = 0, SMARTRAG_USER = 1, SMARTRAG_ASSISTANT = 2 };

typedef struct smartrag_message {
    uint32_t role; /* SMARTRAG_SYSTEM, SMARTRAG_USER or SMARTRAG_ASSISTANT */
    smartrag_str content;
} smartrag_message;

typedef struct smartrag_sentence {
    size_t start;     /* bytes of the passage's text, */
    size_t end;       /* half open, on character boundaries */
    float similarity; /* cosine to the question, -1 to 1; NaN: none */
} smartrag_sentence;

typedef struct smartrag_passage {
    uint32_t citation; /* the number by which the answer cites it, as in "[1]" */
    float score;       /* fused search score, 0 to 1 within this result */
    float similarity;  /* cosine to the question, -1 to 1; NaN: none */
    smartrag_str text;
    smartrag_str title;
    smartrag_str language;            /* ISO 639-1; data NULL: unknown */
    const smartrag_str *heading_path; /* outermost first */
    size_t heading_count;
    const smartrag_sentence *sentences;
    size_t sentence_count;
} smartrag_passage;

typedef struct smartrag_request {
    uint32_t struct_size;
    uint32_t has_seed;                /* 1: `seed` counts */
    uint64_t seed;                    /* for repeatable answers */
    float temperature;                /* NaN: the plugin's choice */
    float top_p;                      /* NaN: the plugin's choice */
    uint32_t max_tokens;              /* of the answer; 0: the plugin's choice */
    smartrag_str model;               /* where the plugin has several; data NULL: the plugin's choice */
    smartrag_str question;            /* made to stand alone where it followed up on another */
    smartrag_str language;            /* BCP 47, of the answer */
    const smartrag_message *messages; /* the finished prompt, passages included, for a model that reads prompts */
    size_t message_count;
    const smartrag_passage *passages; /* the same passages, apart, for a plugin that doesn't */
    size_t passage_count;
    const smartrag_str *stop;         /* texts that end the answer */
    size_t stop_count;
    smartrag_str extra_json;          /* a JSON object: anything a plugin knows beyond these */
} smartrag_request;

enum { SMARTRAG_TEXT = 0, SMARTRAG_REASONING = 1, SMARTRAG_USAGE = 2, SMARTRAG_FINISH = 3 };
enum {
    SMARTRAG_STOP = 0,
    SMARTRAG_LENGTH = 1,
    SMARTRAG_CANCELLED = 2,
    SMARTRAG_FILTERED = 3,
    SMARTRAG_ABSTAINED = 4 /* the evidence was too weak to answer */
};

typedef struct smartrag_event {
    uint32_t kind;              /* SMARTRAG_TEXT, SMARTRAG_REASONING, SMARTRAG_USAGE or SMARTRAG_FINISH */
    uint32_t finish_reason;     /* of SMARTRAG_FINISH */
    uint32_t prompt_tokens;     /* of SMARTRAG_USAGE */
    uint32_t completion_tokens; /* of SMARTRAG_USAGE */
    smartrag_str text;          /* of SMARTRAG_TEXT and SMARTRAG_REASONING: whole characters, at most 1 MiB */
} smartrag_event;

typedef struct smartrag_generator {
    uint32_t struct_size;
    /* Called once after `create`; comes zeroed but for `struct_size`. */
    smartrag_status (*info)(void *instance, smartrag_generator_info *info, smartrag_error *error);
    /* Tokens of each text, by the model's own tokenizer: `counts[0 .. text_count]`. */
    smartrag_status (*count_tokens)(void *instance, const smartrag_str *texts, size_t text_count, uint32_t *counts,
                                    smartrag_error *error);
    /* Begins an answer. `*generation` is any value of the plugin's own; several may be open at once. */
    smartrag_status (*generate)(void *instance, const smartrag_request *request, void **generation,
                                smartrag_error *error);
    /*
     * At least one and at most `capacity` events; `*count` is how many. It is 0 once the answer is over. Not called
     * again after that, nor after an error.
     */
    smartrag_status (*next)(void *instance, void *generation, smartrag_event *events, size_t capacity, size_t *count,
                            smartrag_error *error);
    /* Called exactly once for each generation, at its end or to cancel it. Frees what it holds. */
    void (*drop)(void *instance, void *generation);
} smartrag_generator;

/* ---- The plugin ---- */

enum { SMARTRAG_EMBEDDER = 1, SMARTRAG_GENERATOR = 2 };

typedef struct smartrag_plugin {
    uint32_t struct_size;
    uint32_t role; /* SMARTRAG_EMBEDDER or SMARTRAG_GENERATOR */
    smartrag_str version;
    smartrag_str description;
    /*
     * Makes an instance. `config_json` is a JSON object: what the operator wrote beside the plugin's name. `*instance`
     * is any value of the plugin's own; it comes back as the first argument of every call.
     */
    smartrag_status (*create)(smartrag_str config_json, void **instance, smartrag_error *error);
    /* Called exactly once for each instance, after its generations were dropped. Frees what it holds. */
    void (*destroy)(void *instance);
    const smartrag_embedder *embedder;   /* NULL in a generator */
    const smartrag_generator *generator; /* NULL in an embedder */
} smartrag_plugin;

/* The two symbols of a plugin. */
uint32_t smartrag_native_abi_version(void);
const smartrag_plugin *smartrag_native_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
