/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What every main of the shop shares: flags, signals, and the line it prints for each thing it does.
 */
#ifndef KURIER_SHOP_SERVICE_H
#define KURIER_SHOP_SERVICE_H

#include "events.h"
#include <kurier/kurier.h>

/* A flag of one service: "--name VALUE". An array of them ends with a name of NULL. */
struct service_flag {
    const char *name;
    const char *value; /* what --help calls its value */
    const char *help;
    const char **into; /* gets the value; what it holds before is the default */
};

/* Which of the shared flags it has. */
enum service_kind {
    SERVICE_WORKER = 0, /* all */
    SERVICE_FRONT,      /* those of Kafka */
    SERVICE_CALLER,     /* none */
    SERVICE_TOOL        /* none, and signals end it as they end any program */
};

/* How many at once, for services that have --concurrency. */
#define CONCURRENCY_MAX 1000

struct service_event;

struct service {
    const char *name; /* "email"; the group's name as well, unless --group gives another */
    const char *purpose;
    const struct service_flag *flags;
    const struct service_event *events; /* that it publishes; NULL: none */
    enum service_kind kind;
    /* From the command line: */
    const char *bootstrap; /* NULL: KAFKA_BOOTSTRAP_SERVERS */
    const char *properties_file;
    const char *registry_urls; /* events in Avro, with their schemas there; NULL: in JSON */
    const char *group;
    const char *label; /* in the lines that it prints; the name, unless --as gives another */
    const char *http;  /* answers HTTP instead of listening to Kafka */
    int slow_ms;
    int status; /* what main returns when service_begin says false */
};

/*
 * Reads the command line, and holds SIGINT and SIGTERM back until the service is ready for them. False when main is to
 * return service->status: after --help and --schemas, or when the command line is wrong.
 */
bool service_begin(struct service *service, int argc, char **argv);

/* What main returns: 0 for KUR_OK, else 1, after it has printed the error. */
int service_end(const struct service *service, kur_status status, const kur_error *error);

/* Prints one line: time, service, the order's last characters, and what happened. Any thread. */
void service_say(const struct service *service, const char *order_id, const char *format, ...) KUR_PRINTF(3, 4);

/* Pretends that the work at hand takes as long as --slow-ms says. */
void service_take_time(const struct service *service);

/* Reads a number from `least` to `most` for a flag; prints what is wrong when it is none. */
bool service_number(const struct service *service, const char *flag, const char *text, int least, int most,
                    int *number);

/* Whether a flag's text is one of these, NULL behind the last; prints what there is when it is none. */
bool service_choice(const struct service *service, const char *flag, const char *text, const char *const choices[]);

/* Reads how often events are sent, "at-least-once" or "exactly-once"; false sets service->status. */
bool service_guarantee(struct service *service, const char *text, kur_guarantee *guarantee);

/*
 * The same work on request: POST /work with an order.created's JSON answers 200 when the handler says done, 503 for
 * retry and 422 for reject. One request at a time, as the listener handles one record at a time; the handler's delivery
 * is NULL. Returns what main returns, at SIGINT or SIGTERM.
 */
int service_answer(const struct service *service, order_created_handler *handler, void *user);

/* Waits for SIGINT or SIGTERM. */
void service_wait(void);

#endif
