/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A small HTTP server over libmicrohttpd that takes JSON and answers JSON, and is careful with what comes in: bodies up
 * to HTTP_BODY_MAX, 10 s for a whole request's body, 30 s of silence, 512 connections.
 */
#ifndef KURIER_SHOP_HTTP_H
#define KURIER_SHOP_HTTP_H

#include <kurier/kurier.h>

#define HTTP_BODY_MAX (64 * 1024)

typedef struct http_server http_server;

/* Valid during the call of the handler. */
struct http_request {
    const char *method;
    const char *path;
    const char *rest;         /* of the path, behind the route's */
    const char *content_type; /* NULL when there is none */
    kur_bytes body;
    kur_arena *arena; /* for what the handler makes; released after it */
};

/* What the handler fills in; the server adds the headers. A status of 0 is answered 500. */
struct http_answer {
    int status;
    kur_buffer body; /* JSON; released by the server */
    char location[128];
    const char *allow;
    int retry_after_s;
    bool is_problem; /* the body is one of http_problem */
};

typedef void http_handler(const struct http_request *request, struct http_answer *answer, void *user);

/* What answers where. An array of them ends with a path of NULL; what is not in it is answered 404 or 405. */
struct http_route {
    const char *method;
    const char *path; /* with a slash at its end: everything below it */
    http_handler *handler;
};

struct http_options {
    const char *address; /* "PORT" on 127.0.0.1, or "HOST:PORT"; port 0 is any free one */
    const char *flag;    /* the flag that the address came from, for the error's text */
    bool threads;        /* a thread for each connection; else one for all, one request at a time */
    const struct http_route *routes;
    void *user;
};

/* Listens when it returns. NULL with an error that says what to do, also when the port is in use. */
http_server *http_start(const struct http_options *options, kur_error *error);

/* "http://127.0.0.1:8080" */
const char *http_url(const http_server *server);

/* Waits for the handlers that run. NULL does nothing. */
void http_stop(http_server *server);

/* Answers with an error: {"status":400,"title":"Bad Request","detail":"…"} (RFC 9457). */
void http_problem(struct http_answer *answer, int status, const char *format, ...) KUR_PRINTF(3, 4);

/* Whether the request says that its body is JSON. */
bool http_is_json(const struct http_request *request);

#endif
