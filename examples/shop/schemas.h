/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events in Avro, when --registry says so, and the schemas of what a service publishes, for --schemas.
 */
#ifndef KURIER_SHOP_SCHEMAS_H
#define KURIER_SHOP_SCHEMAS_H

#include "service.h"

/* What a service publishes where; an array of them ends with a topic of NULL. */
struct service_event {
    const char *topic;
    kur_status (*schema)(kur_schema **schema, kur_error *error);
};

/*
 * The client of a service, as its flags say. Its registry is freed by service_end. NULL, with the error set.
 */
kur_client *service_client(const struct service *service, kur_error *error);

/* Writes DIRECTORY/SUBJECT.avsc for each event of the service, and says so; returns what main returns. */
int schemas_write(const struct service *service, const char *directory);

/* Frees the registry, after the client. */
void schemas_end(void);

#endif
