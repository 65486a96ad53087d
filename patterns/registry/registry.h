/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the registry's client share. From above: calls.c and schemas.c what the headers promise; find.c
 * and cache.c what is known, and who is fetching what; fetch.c schemas with those that they name; ask.c one question
 * over the URLs and the time; http.c one exchange; reply.c what the answers say; options.c what it was told.
 */
#ifndef KURIER_REGISTRY_REGISTRY_H
#define KURIER_REGISTRY_REGISTRY_H

#include <kurier/registry.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum {
    KUR__REGISTRY_URLS_MAX = 16,
    KUR__REGISTRY_HANDLES = 8,      /* that wait, with their connections, for the next request */
    KUR__REGISTRY_ENTRIES = 1000,   /* what is kept */
    KUR__REGISTRY_BUCKETS = 1024,   /* a power of two */
    KUR__REGISTRY_REFERENCES = 100, /* schemas behind one schema, in all */
    KUR__REGISTRY_DEPTH = 16        /* and how deep */
};

/* ---- reply.c: pure; what it is given is hostile ---- */

/* A schema as a registry tells it; what it does not tell is 0 or NULL, but for `kind`. */
typedef struct kur__reply {
    const char *subject;
    int version;
    bool has_id;
    uint32_t id;
    bool has_guid;
    kur_uuid guid;
    const char *kind;
    kur_bytes text;
    kur_subject_references references;
} kur__reply;

/*
 * Each reads a body; what is found lives in the arena. KUR_ERROR_UNREACHABLE: no answer of a registry's (what is in the
 * way may be gone the next time); KUR_ERROR_NO_MEMORY.
 */
kur_status kur__reply_schema(kur_bytes body, kur_arena *arena, kur__reply *reply, kur_error *error);
kur_status kur__reply_names(kur_bytes body, kur_arena *arena, const char *const **names, size_t *count,
                            kur_error *error);
kur_status kur__reply_numbers(kur_bytes body, kur_arena *arena, const int **numbers, size_t *count, kur_error *error);
kur_status kur__reply_check(kur_bytes body, kur_arena *arena, bool *is_compatible, const char **messages,
                            kur_error *error);
kur_status kur__reply_level(kur_bytes body, kur_arena *arena, const char **level, kur_error *error);
/* Why it says no; 0 and "" when the body does not tell. */
void kur__reply_refusal(kur_bytes body, int *code, char *message, size_t size);

/* ---- cache.c ---- */

/* A schema that was found. Never changes; counted. */
typedef struct kur__found {
    atomic_size_t references;
    kur_arena *arena;
    kur__reply reply;
    kur_schema *schema; /* NULL: none of Avro's */
} kur__found;

kur__found *kur__found_new(void);
kur__found *kur__found_ref(kur__found *found);
void kur__found_unref(kur__found *found);

typedef struct kur__entry kur__entry;
typedef struct kur__flight kur__flight;

/* What is known, by keys: bytes of at most KUR__KEY_SIZE. */
typedef struct kur__cache {
    pthread_mutex_t lock; /* guards what stands below; not held while somebody fetches */
    pthread_cond_t landed;
    uint32_t seed;
    kur__entry *buckets[KUR__REGISTRY_BUCKETS];
    kur__entry *oldest, *newest; /* by when they were used */
    size_t count;
    kur__flight *flights; /* what is being fetched */
} kur__cache;

enum {
    KUR__KEY_SIZE = 1100
};

typedef struct kur__key {
    size_t size;
    char bytes[KUR__KEY_SIZE];
} kur__key;

/* How something is fetched that is not known, on the thread that asks first, and what is known then for how long. */
typedef struct kur__fetch {
    kur_status (*run)(void *user, kur__found **found, kur_error *error);
    void *user;
    int64_t for_us;   /* how long it is kept: INT64_MAX for ever, 0 not at all */
    int64_t stale_us; /* how long what is too old serves when a registry cannot be asked; 0: not at all */
} kur__fetch;

void kur__cache_init(kur__cache *cache);
void kur__cache_done(kur__cache *cache);
/* What is known; NULL: nothing. The caller has a reference. */
kur__found *kur__cache_look(kur__cache *cache, const kur__key *key);
/* Keeps it, or not, where memory is out: it is only a cache. */
void kur__cache_keep(kur__cache *cache, const kur__key *key, kur__found *found, int64_t for_us);
void kur__cache_drop(kur__cache *cache, const kur__key *key);
/* What is known, else what is fetched: by one at a time, for which the others wait. */
kur_status kur__cache_get(kur__cache *cache, const kur__key *key, const kur__fetch *fetch,
                          const struct timespec *deadline, kur__found **found, kur_error *error);

/* ---- The registry ---- */

typedef struct kur__url {
    char *base;    /* without a slash at its end */
    bool is_local; /* this host: no proxy, and passwords may go there in the clear */
} kur__url;

struct kur_registry {
    kur_registry_options options; /* with its defaults; texts are its own */
    kur_buffer basic;             /* user and password as they go over the line: a secret, too */
    kur__url urls[KUR__REGISTRY_URLS_MAX];
    size_t url_count;
    kur_schemas schemas;
    int first_wait_ms, most_wait_ms; /* between rounds; tests have less patience */
    kur__cache cache;
    pthread_mutex_t lock; /* guards what stands below; not held on the network, nor across the log */
    pthread_cond_t idle;
    size_t under_way;
    size_t first_url; /* which answered last */
    void *handles[KUR__REGISTRY_HANDLES];
    size_t handle_count;
    int64_t quiet_until_us; /* no warning before */
};

/* ---- options.c ---- */

/* Takes and checks what a registry is told; what it took is given back by kur__registry_options_done, always. */
kur_status kur__registry_options_take(kur_registry *registry, const kur_registry_options *options, kur_error *error);
void kur__registry_options_done(kur_registry *registry);

/* Appends a part of a path, percent-encoded (RFC 3986, section 2.1). */
kur_status kur__registry_encode(kur_buffer *path, const char *text);

/* Puts asterisks over secrets in a text that somebody else wrote. */
void kur__registry_hide(const kur_registry *registry, char *text);

void kur__registry_log(kur_registry *registry, kur_log_level level, const char *format, ...) KUR_PRINTF(3, 4);

/* ---- http.c ---- */

typedef struct kur__question {
    const char *method; /* GET, POST, PUT */
    const char *path;   /* behind a URL's base, with its slash */
    kur_bytes body;     /* JSON; none: without */
    /* Of a question for a schema: which, where the answer tells; 0: any. */
    int version;
    uint32_t id;
    bool needs_id; /* the answer tells the id, or is none */
} kur__question;

typedef struct kur__answer {
    int code;       /* HTTP's */
    int error_code; /* the registry's own, beside a code of 400 and above; 0: none */
    int64_t retry_after_ms;
    kur_buffer body;
} kur__answer;

/*
 * One exchange, within `timeout_ms`. KUR_OK: there is an answer, whatever its code. KUR_ERROR_TIMEOUT,
 * KUR_ERROR_UNREACHABLE, KUR_ERROR_CONFIG (TLS), KUR_ERROR_TOO_LARGE, KUR_ERROR_NO_MEMORY.
 */
kur_status kur__http_exchange(kur_registry *registry, const kur__url *url, const kur__question *question,
                              int timeout_ms, kur__answer *answer, kur_error *error);
void kur__http_close(void *handle);

/* ---- ask.c ---- */

/* Milliseconds until then, never negative. */
int kur__left_ms(const struct timespec *deadline);

/*
 * Asks until there is an answer that says yes: over the URLs, and again later, within the time. `answer` is to be
 * released by kur_buffer_done(&answer->body), whatever comes of it. `read`, if not NULL, is handed each such answer:
 * one that it takes for no registry's (KUR_ERROR_UNREACHABLE) is asked for again.
 */
typedef kur_status kur__read_answer(void *user, kur_bytes body, kur_error *error);
kur_status kur__registry_ask(kur_registry *registry, const kur__question *question, const struct timespec *deadline,
                             kur__read_answer *read, void *user, kur__answer *answer, kur_error *error);

/* ---- fetch.c ---- */

/* The longest name of a subject. */
#define KUR__SUBJECT_MAX 1000

/* Where a version of a subject is (0: the latest), as a key and as a path. */
void kur__registry_version_key(kur__key *key, const char *subject, int version);
kur_status kur__registry_version_path(kur_buffer *path, const char *subject, int version);

/* A schema by the path that answers with one, with all that it names. `answer` as that of kur__registry_ask. */
kur_status kur__registry_fetch(kur_registry *registry, const kur__question *question, const struct timespec *deadline,
                               kur__found **found, kur__answer *answer, kur_error *error);

/* ---- find.c ---- */

/* What is known, or fetched by one for all who ask. `version` 0: the latest. */
kur_status kur__registry_by_id(kur_registry *registry, uint32_t id, const struct timespec *deadline, kur__found **found,
                               kur_error *error);
kur_status kur__registry_by_guid(kur_registry *registry, const kur_uuid *guid, const struct timespec *deadline,
                                 kur__found **found, kur_error *error);
kur_status kur__registry_by_version(kur_registry *registry, const char *subject, int version,
                                    const struct timespec *deadline, kur__found **found, kur_error *error);
/* Likewise, from the registry whatever is known. */
kur_status kur__registry_fetch_version(kur_registry *registry, const char *subject, int version,
                                       const struct timespec *deadline, kur__found **found, kur_error *error);
/* Forgets a subject's latest: there may be another now. */
void kur__registry_forget_latest(kur_registry *registry, const char *subject);

/* ---- calls.c ---- */

/* A call begins: its arguments are checked that all have. It ends by kur__registry_leave, if it has begun. */
kur_status kur__registry_enter(kur_registry *registry, const char *subject, int timeout_ms, struct timespec *deadline,
                               kur_error *error);
void kur__registry_leave(kur_registry *registry);

/* Registers: what the registry told, in `arena`; an id at least. */
kur_status kur__registry_register(kur_registry *registry, const char *subject, kur_schema *schema,
                                  const kur_subject_references *references, const struct timespec *deadline,
                                  kur_arena *arena, kur__reply *reply, kur_error *error);
/* Looks up; an id at least is told. */
kur_status kur__registry_look_up(kur_registry *registry, const char *subject, kur_schema *schema,
                                 const kur_subject_references *references, const struct timespec *deadline,
                                 kur__found **found, kur_error *error);

/* ---- schemas.c ---- */

/* Fills in what kur_registry_schemas gives. */
void kur__registry_schemas_init(kur_registry *registry);

#endif
