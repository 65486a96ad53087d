/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/kurier.h>: everything but <kurier/librdkafka.h>, the drivers of databases (<kurier/postgres.h>,
 * <kurier/sqlite.h>), the client of schema registries (<kurier/registry.h>) and the headers under sys/.
 */
#ifndef KURIER_KURIER_H
#define KURIER_KURIER_H

#include <kurier/access.h>
#include <kurier/admin.h>
#include <kurier/api.h>
#include <kurier/arena.h>
#include <kurier/avro.h>
#include <kurier/bytes.h>
#include <kurier/client.h>
#include <kurier/consumer.h>
#include <kurier/database.h>
#include <kurier/deadletter.h>
#include <kurier/delivery.h>
#include <kurier/driver.h>
#include <kurier/embedded_broker.h>
#include <kurier/error.h>
#include <kurier/event.h>
#include <kurier/fields.h>
#include <kurier/filter.h>
#include <kurier/inbox.h>
#include <kurier/json.h>
#include <kurier/ledger.h>
#include <kurier/listener.h>
#include <kurier/log.h>
#include <kurier/outbox.h>
#include <kurier/outcome.h>
#include <kurier/producer.h>
#include <kurier/redrive.h>
#include <kurier/relay.h>
#include <kurier/retry.h>
#include <kurier/schema.h>
#include <kurier/schemas.h>
#include <kurier/security.h>
#include <kurier/time.h>
#include <kurier/transaction.h>
#include <kurier/type.h>
#include <kurier/typed.h>
#include <kurier/uuid.h>

#endif
