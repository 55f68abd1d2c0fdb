/*
 * A native plugin in C11, for tests: an embedder of two dimensions, or with -DGENERATOR a generator that quotes the
 * first passage word by word. Each other macro gives it one defect.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "smartrag_native.h"

#define STR(text) {text, sizeof(text) - 1}

static smartrag_status fail(smartrag_error *error, smartrag_status status, const char *message) {
    error->message_len = (uint32_t)strlen(message);
    memcpy(error->message, message, error->message_len);
    return status;
}

/* Makes libraries differ that would be the same. */
extern const unsigned smartrag_test_salt;
const unsigned smartrag_test_salt = SALT;

/* Instances that are alive: `count_tokens` of "alive" tells. */
static uint32_t alive;

static smartrag_status create(smartrag_str config, void **instance, smartrag_error *error) {
    if (config.len > 8 && !memcmp(config.data, "{\"fail\":", 8)) {
        return fail(error, SMARTRAG_INVALID_CONFIG, "knows no setting `fail`: remove it");
    }
    alive++;
    *instance = &alive;
    return SMARTRAG_OK;
}

static void destroy(void *instance) {
    *(uint32_t *)instance -= 1;
}

static smartrag_status count_tokens(void *instance, const smartrag_str *texts, size_t text_count, uint32_t *counts,
                                    smartrag_error *error) {
    (void)error;
    for (size_t i = 0; i < text_count; i++) {
        int asks = texts[i].len == 5 && !memcmp(texts[i].data, "alive", 5);
        counts[i] = asks ? *(uint32_t *)instance : (uint32_t)texts[i].len;
    }
    return SMARTRAG_OK;
}

#ifndef GENERATOR

static smartrag_status info(void *instance, smartrag_embedder_info *info, smartrag_error *error) {
    static const smartrag_str model = STR("two-letters");
#ifdef BAD_UTF8
    static const smartrag_str fingerprint = STR("\xff\xfe");
#else
    static const smartrag_str fingerprint = STR("v1");
#endif
    (void)instance;
    (void)error;
    info->dimension = 2;
    info->window_tokens = 100;
    info->batch_max = 3;
    info->fusion_weight = 0.5f;
    info->model = model;
    info->fingerprint = fingerprint;
#ifdef BAD_DIMENSION
    info->dimension = 1u << 30;
#endif
    return SMARTRAG_OK;
}

/* Whether a call is under way: a second one breaks the host's promise. */
static atomic_flag inside = ATOMIC_FLAG_INIT;

static smartrag_status embed_alone(const smartrag_str *texts, size_t text_count, uint32_t purpose, float *vectors,
                                   size_t capacity, size_t *written, smartrag_error *error);

static smartrag_status embed(void *instance, const smartrag_str *texts, size_t text_count, uint32_t purpose,
                             float *vectors, size_t capacity, size_t *written, smartrag_error *error) {
    (void)instance;
    if (atomic_flag_test_and_set(&inside)) return fail(error, SMARTRAG_INTERNAL, "called twice at once");
    smartrag_status status = embed_alone(texts, text_count, purpose, vectors, capacity, written, error);
    atomic_flag_clear(&inside);
    return status;
}

/* A vector that tells how many letters a and b a text has, and whether it is a query. */
static smartrag_status embed_alone(const smartrag_str *texts, size_t text_count, uint32_t purpose, float *vectors,
                                   size_t capacity, size_t *written, smartrag_error *error) {
    if (text_count > 3 || capacity < 2 * text_count) {
        return fail(error, SMARTRAG_INVALID_INPUT, "more than was agreed");
    }
    for (size_t i = 0; i < text_count; i++) {
        float a = 0, b = 0;
        if (texts[i].len == 4 && !memcmp(texts[i].data, "busy", 4)) {
            error->retryable = 1;
            error->retry_after_ms = 250;
            return fail(error, SMARTRAG_UNAVAILABLE, "the device is busy: try again");
        }
        for (size_t at = 0; at < texts[i].len; at++) {
            a += texts[i].data[at] == 'a';
            b += texts[i].data[at] == 'b';
        }
        float length = sqrtf(a * a + b * b);
        float sign = purpose == SMARTRAG_QUERY ? -1.0f : 1.0f;
        vectors[2 * i] = length > 0 ? sign * a / length : 0;
        vectors[2 * i + 1] = length > 0 ? b / length : 0;
    }
    *written = 2 * text_count;
#ifdef BAD_NAN
    vectors[0] = NAN;
#endif
#ifdef BAD_LENGTH
    vectors[0] = 7;
#endif
#ifdef BAD_COUNT
    *written = 2 * text_count - 1;
#endif
#ifdef BAD_OVERFLOW
    *written = capacity + 1;
#endif
#ifdef BAD_STATUS
    return 99;
#endif
    return SMARTRAG_OK;
}

static const smartrag_embedder table = {
    .struct_size = sizeof(smartrag_embedder),
    .info = info,
    .count_tokens = count_tokens,
#ifndef BAD_NULL
    .embed = embed,
#endif
};

#else

typedef struct {
    char *text;
    size_t len, at;
    int is_over;
} answer;

static smartrag_status info(void *instance, smartrag_generator_info *info, smartrag_error *error) {
    static const smartrag_str model = STR("quoter");
    (void)instance;
    (void)error;
    info->model = model;
    info->context_window = 4096;
    return SMARTRAG_OK;
}

static smartrag_status generate(void *instance, const smartrag_request *request, void **generation,
                                smartrag_error *error) {
    if (request->passage_count == 0) return fail(error, SMARTRAG_INVALID_INPUT, "there is no passage: ask with some");
    const smartrag_passage *passage = &request->passages[0];
    answer *made = calloc(1, sizeof *made);
    char cite[16] = " [x]";
    cite[2] = (char)('0' + passage->citation % 10);
    made->len = passage->text.len + 4;
    made->text = malloc(made->len);
    memcpy(made->text, passage->text.data, passage->text.len);
    memcpy(made->text + passage->text.len, cite, 4);
    *(uint32_t *)instance += 100;
    *generation = made;
    return SMARTRAG_OK;
}

/* Two words a call, then usage and finish in one. */
static smartrag_status next(void *instance, void *generation, smartrag_event *events, size_t capacity, size_t *count,
                            smartrag_error *error) {
    answer *made = generation;
    (void)instance;
    (void)error;
    *count = 0;
    while (*count < 2 && *count < capacity && made->at < made->len) {
        size_t start = made->at++;
        while (made->at < made->len && made->text[made->at] != ' ') made->at++;
        smartrag_event *event = &events[(*count)++];
        event->kind = SMARTRAG_TEXT;
        event->text.data = made->text + start;
        event->text.len = made->at - start;
    }
    if (*count == 0 && !made->is_over) {
        made->is_over = 1;
        events[0].kind = SMARTRAG_USAGE;
        events[0].completion_tokens = (uint32_t)made->len;
        events[1].kind = SMARTRAG_FINISH;
        events[1].finish_reason = SMARTRAG_STOP;
        *count = 2;
    }
#ifdef BAD_TEXT
    static const smartrag_str half = STR("caf\xc3");
    events[0].kind = SMARTRAG_TEXT;
    events[0].text = half;
    *count = 1;
#endif
#ifdef BAD_EVENTS
    *count = capacity + 1;
#endif
#ifdef BAD_KIND
    events[0].kind = 77;
    *count = 1;
#endif
    return SMARTRAG_OK;
}

/* Each open generation counts for 100 instances. */
static void drop(void *instance, void *generation) {
    answer *made = generation;
    *(uint32_t *)instance -= 100;
    free(made->text);
    free(made);
}

static const smartrag_generator table = {
    .struct_size = sizeof(smartrag_generator),
    .info = info,
    .count_tokens = count_tokens,
    .generate = generate,
    .next = next,
    .drop = drop,
};

#endif

static const smartrag_plugin plugin = {
#ifdef BAD_SIZE
    .struct_size = 16,
#else
    .struct_size = sizeof(smartrag_plugin),
#endif
    .version = STR("1.2.3"),
    .description = STR("For tests"),
    .create = create,
    .destroy = destroy,
#ifdef GENERATOR
    .role = SMARTRAG_GENERATOR,
    .generator = &table,
#else
    .role = SMARTRAG_EMBEDDER,
    .embedder = &table,
#endif
};

uint32_t smartrag_native_abi_version(void) {
#ifdef BAD_VERSION
    return 999;
#else
    return SMARTRAG_NATIVE_ABI_VERSION;
#endif
}

#ifdef BAD_SYMBOL
const smartrag_plugin *some_other_name(void);
const smartrag_plugin *some_other_name(void) {
#else
const smartrag_plugin *smartrag_native_plugin(void) {
#endif
    return &plugin;
}
