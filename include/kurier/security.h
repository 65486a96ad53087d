/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/security.h>: what a client may do that is refused by default, and tokens for SASL OAUTHBEARER. Everything
 * else about TLS and log-ins is librdkafka's properties: docs/guide/configuring.md.
 */
#ifndef KURIER_SECURITY_H
#define KURIER_SECURITY_H

#include <kurier/error.h>

KUR_BEGIN_DECLS

/** An extension of a token (RFC 7628), such as {"logicalCluster", "lkc-1"}. Both texts are borrowed for the call. */
typedef struct kur_token_extension {
    const char *name;
    const char *value;
} kur_token_extension;

/** A token for SASL OAUTHBEARER. All pointers are borrowed for the call only. */
typedef struct kur_token {
    size_t size;
    const char *value;     /**< as it goes to the broker, usually a JWT; at most 64 KiB */
    int64_t expires_us;    /**< microseconds since 1970; must lie ahead */
    const char *principal; /**< whose token it is; used by librdkafka's messages alone; default: empty */
    const kur_token_extension *extensions; /**< at most 32 */
    size_t extension_count;
} kur_token;

#define KUR_TOKEN(...) KUR__OPTIONS(kur_token, __VA_ARGS__)

/** One time that a token is asked for; of use in its callback only. */
typedef struct kur_token_request kur_token_request;

/**
 * Gives a token, by kur_token_give, and returns KUR_OK; or returns another status with what went wrong in `error`,
 * which is logged as a warning, stands in the errors of whatever waits for a broker, and is tried again after 10 s. A
 * callback that returns KUR_OK without having given a token has failed.
 *
 * Called when a producer or consumer starts and again when four fifths of the token's life are over, for each of them
 * by itself, on a thread of librdkafka's that does nothing else: it may wait for an HTTP answer, but freeing the
 * producer or consumer waits for it to return, so bound that. Several producers and consumers call it at the same time.
 * It must call nothing of the client, producer or consumer. All signals are blocked.
 */
typedef kur_status kur_token_callback(kur_token_request *request, void *user, kur_error *error);

/**
 * Hands a token over; the texts are copied. The last one given counts. KUR_ERROR_INVALID_ARGUMENT when it is missing,
 * too long, not ASCII, or has expired. Only in the callback, on its thread.
 */
KUR_API kur_status kur_token_give(kur_token_request *request, const kur_token *token, kur_error *error);

/** What a client may do that is not safe by itself, and where tokens come from. */
typedef struct kur_security_options {
    size_t size;
    kur_token_callback *token; /**< for sasl.mechanism=OAUTHBEARER */
    void *token_user;
    bool allow_clear_text; /**< log in by PLAIN or OAUTHBEARER over SASL_PLAINTEXT, where everyone can read along */
    bool allow_code;       /**< properties that load code or run commands: plugin.library.paths, ssl.engine.location,
                                ssl.providers, sasl.kerberos.kinit.cmd */
} kur_security_options;

#define KUR_SECURITY_OPTIONS(...) KUR__OPTIONS(kur_security_options, __VA_ARGS__)

KUR_END_DECLS

#endif
