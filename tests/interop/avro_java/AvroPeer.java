// Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Future;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.data.TimeConversions;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Java's side of the Avro suite: Avro's own library, and Apicurio's serializer in Confluent's wire format.
 * avro_suite.py tells what there is to ask.
 */
public final class AvroPeer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    private static String bootstrap;

    private interface Conversion {
        String of(String value) throws Exception;
    }

    private interface Encoding {
        byte[] of(Object datum) throws Exception;
    }

    private interface Decoding {
        Object of(byte[] data) throws Exception;
    }

    private static Schema parse(String text) {
        return new Schema.Parser().parse(text);
    }

    // ---- Values, between Kurier's JSON and generic ones ----

    private static Object datum(Schema schema, JsonNode json) throws Exception {
        String logical = schema.getLogicalType() == null ? "" : schema.getLogicalType().getName();
        switch (logical) {
        case "timestamp-micros", "timestamp-millis": return Instant.parse(json.asText());
        case "date": return LocalDate.parse(json.asText());
        case "uuid": return UUID.fromString(json.asText());
        case "decimal": return new BigDecimal(json.asText());
        }
        switch (schema.getType()) {
        case RECORD:
            GenericData.Record record = new GenericData.Record(schema);
            for (Schema.Field field : schema.getFields()) record.put(field.pos(), datum(field.schema(), json.path(field.name())));
            return record;
        case ARRAY:
            List<Object> list = new ArrayList<>();
            for (JsonNode item : json) list.add(datum(schema.getElementType(), item));
            return list;
        case MAP:
            Map<String, Object> map = new HashMap<>();
            for (var member : json.properties()) map.put(member.getKey(), datum(schema.getValueType(), member.getValue()));
            return map;
        case UNION: // null and something
            if (json.isNull() || json.isMissingNode()) return null;
            for (Schema branch : schema.getTypes()) if (branch.getType() != Schema.Type.NULL) return datum(branch, json);
            return null;
        case ENUM: return new GenericData.EnumSymbol(schema, json.asText());
        case FIXED: return new GenericData.Fixed(schema, json.binaryValue());
        case BYTES: return ByteBuffer.wrap(json.binaryValue());
        case STRING: return json.textValue();
        case INT: return json.intValue();
        case LONG: return json.longValue();
        case FLOAT: return (float) json.doubleValue();
        case DOUBLE: return json.doubleValue();
        case BOOLEAN: return json.booleanValue();
        default: return null;
        }
    }

    private static JsonNode json(Object value) {
        if (value == null) return NODES.nullNode();
        if (value instanceof IndexedRecord record) {
            ObjectNode object = NODES.objectNode();
            for (Schema.Field field : record.getSchema().getFields()) object.set(field.name(), json(record.get(field.pos())));
            return object;
        }
        if (value instanceof Map<?, ?> map) {
            ObjectNode object = NODES.objectNode();
            map.forEach((key, item) -> object.set(key.toString(), json(item)));
            return object;
        }
        if (value instanceof List<?> list) {
            ArrayNode array = NODES.arrayNode();
            list.forEach(item -> array.add(json(item)));
            return array;
        }
        if (value instanceof BigDecimal number) return NODES.textNode(number.toPlainString());
        if (value instanceof ByteBuffer bytes) {
            byte[] copy = new byte[bytes.remaining()];
            bytes.duplicate().get(copy);
            return NODES.binaryNode(copy);
        }
        if (value instanceof GenericFixed fixed) return NODES.binaryNode(fixed.bytes());
        if (value instanceof Integer number) return NODES.numberNode(number);
        if (value instanceof Long number) return NODES.numberNode(number);
        if (value instanceof Float number) return NODES.numberNode(number);
        if (value instanceof Double number) return NODES.numberNode(number);
        if (value instanceof Boolean bool) return NODES.booleanNode(bool);
        return NODES.textNode(value.toString()); // texts, symbols, UUIDs, dates and times
    }

    // ---- Bytes ----

    private static byte[] bare(Schema schema, Object datum) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
        new GenericDatumWriter<>(schema).write(datum, encoder);
        encoder.flush();
        return out.toByteArray();
    }

    private static Object bare(Schema writer, Schema reader, byte[] data) throws Exception {
        BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(data, null);
        Object datum = new GenericDatumReader<>(writer, reader).read(null, decoder);
        if (!decoder.isEnd()) throw new IllegalStateException("bytes behind the end");
        return datum;
    }

    private static byte[] single(Schema schema, Object datum) throws Exception {
        ByteBuffer made = new BinaryMessageEncoder<>(GenericData.get(), schema).encode(datum);
        byte[] data = new byte[made.remaining()];
        made.get(data);
        return data;
    }

    private static Object single(Schema writer, Schema reader, byte[] data) throws Exception {
        BinaryMessageDecoder<Object> decoder = new BinaryMessageDecoder<>(GenericData.get(), reader);
        decoder.addSchema(writer);
        return decoder.decode(data);
    }

    private static Map<String, Object> serde(JsonNode request) {
        Map<String, Object> options = new HashMap<>();
        options.put("apicurio.registry.url", request.get("registry").asText().replace("/ccompat/v7", "/registry/v2"));
        options.put("apicurio.registry.as-confluent", true);
        options.put("apicurio.registry.use-id", "contentId");
        options.put("apicurio.registry.headers.enabled", false);
        options.put("apicurio.registry.auto-register", true);
        return options;
    }

    private static Encoding encoding(JsonNode request, Schema schema) {
        switch (request.path("wire").asText()) {
        case "single": return datum -> single(schema, datum);
        case "plain": return datum -> bare(schema, datum);
        default:
            AvroKafkaSerializer<Object> serializer = new AvroKafkaSerializer<>();
            serializer.configure(serde(request), false);
            return datum -> serializer.serialize(request.get("topic").asText(), datum);
        }
    }

    private static Decoding decoding(JsonNode request, Schema writer) {
        Schema reader = request.hasNonNull("reader") ? parse(request.get("reader").asText()) : writer;
        switch (request.path("wire").asText()) {
        case "single": return data -> single(writer, reader, data);
        case "plain": return data -> bare(writer, reader, data);
        default:
            AvroKafkaDeserializer<Object> deserializer = new AvroKafkaDeserializer<>();
            deserializer.configure(serde(request), false);
            return data -> deserializer.deserialize(request.get("topic").asText(), data);
        }
    }

    // ---- Acts ----

    private static void produce(JsonNode request, ArrayNode said) throws Exception {
        Schema schema = parse(request.get("schema").asText());
        Encoding encoding = encoding(request, schema);
        String topic = request.get("topic").asText();
        List<Future<?>> results = new ArrayList<>();
        try (var producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap), new ByteArraySerializer(), new ByteArraySerializer())) {
            for (JsonNode text : request.get("values")) {
                var record = new ProducerRecord<byte[], byte[]>(topic, encoding.of(datum(schema, JSON.readTree(text.asText()))));
                if (request.path("wire").asText().equals("plain")) record.headers().add("content-type", "avro/binary".getBytes());
                results.add(producer.send(record));
            }
            for (Future<?> result : results) {
                result.get();
                said.add("sent");
            }
        }
    }

    private static void consume(JsonNode request, ArrayNode said) throws Exception {
        Decoding decoding = decoding(request, parse(request.get("schema").asText()));
        try (var consumer = new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var all = List.of(new TopicPartition(request.get("topic").asText(), 0));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            for (int empty = 0; said.size() < request.get("count").asInt() && empty < 60;) {
                var records = consumer.poll(Duration.ofSeconds(1));
                empty += records.isEmpty() ? 1 : 0;
                for (ConsumerRecord<byte[], byte[]> record : records)
                    said.add(orError("", ignored -> json(decoding.of(record.value())).toString()));
            }
        }
    }

    private static String orError(String value, Conversion conversion) {
        try {
            return conversion.of(value);
        } catch (Exception | StackOverflowError error) { // whatever it is: it is what a user would get
            return "!" + error;
        }
    }

    private static String reads(String reader, String writer) {
        var answer = SchemaCompatibility.checkReaderWriterCompatibility(parse(reader), parse(writer));
        boolean reads = answer.getType() == SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE;
        return reads ? "yes" : "!" + answer.getResult().getIncompatibilities();
    }

    private static void reads(JsonNode pairs, ArrayNode said) {
        for (int i = 0; i + 1 < pairs.size(); i += 2) {
            String writer = pairs.get(i + 1).asText();
            said.add(orError(pairs.get(i).asText(), reader -> reads(reader, writer)));
        }
    }

    private static String form(String text) {
        Schema schema = parse(text);
        return String.format("%016x %s", SchemaNormalization.parsingFingerprint64(schema), SchemaNormalization.toParsingForm(schema));
    }

    private static void each(JsonNode request, ArrayNode said, Conversion conversion) {
        for (JsonNode value : request.get("values")) said.add(orError(value.asText(), conversion));
    }

    private static void answer(JsonNode request, ArrayNode said) throws Exception {
        HexFormat digits = HexFormat.of();
        switch (request.get("act").asText()) {
        case "forms": each(request, said, AvroPeer::form); break;
        case "reads": reads(request.get("values"), said); break;
        case "produce": produce(request, said); break;
        case "consume": consume(request, said); break;
        case "encode":
            Schema to = parse(request.get("schema").asText());
            each(request, said, text -> digits.formatHex(bare(to, datum(to, JSON.readTree(text)))));
            break;
        default:
            Schema from = parse(request.get("schema").asText());
            Schema reader = request.hasNonNull("reader") ? parse(request.get("reader").asText()) : from;
            each(request, said, text -> json(bare(from, reader, digits.parseHex(text))).toString());
        }
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        for (var conversion : List.of(new Conversions.DecimalConversion(), new Conversions.UUIDConversion(), new TimeConversions.DateConversion(),
                                      new TimeConversions.TimestampMicrosConversion(), new TimeConversions.TimestampMillisConversion()))
            GenericData.get().addLogicalTypeConversion(conversion);
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            ObjectNode reply = NODES.objectNode();
            answer(JSON.readTree(line), reply.putArray("values"));
            out.println(reply);
            out.flush();
        }
    }
}
