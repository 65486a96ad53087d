// Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.Encoding;
import io.cloudevents.kafka.CloudEventDeserializer;
import io.cloudevents.kafka.CloudEventSerializer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Java's side of the interop suite: cloudevents-kafka and kafka-clients. interop.py tells what a line holds. */
public final class Peer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private static byte[] bytes(JsonNode line, String name) throws Exception {
        return line.hasNonNull(name) ? line.get(name).binaryValue() : null;
    }

    private static CloudEvent event(JsonNode line) throws Exception {
        CloudEventBuilder builder = CloudEventBuilder.v1();
        builder.withId(line.get("id").asText());
        builder.withSource(URI.create(line.get("source").asText()));
        builder.withType(line.get("type").asText());
        if (line.hasNonNull("subject")) builder.withSubject(line.get("subject").asText());
        if (line.hasNonNull("dataschema")) builder.withDataSchema(URI.create(line.get("dataschema").asText()));
        if (line.hasNonNull("datacontenttype")) builder.withDataContentType(line.get("datacontenttype").asText());
        if (line.hasNonNull("time")) builder.withTime(OffsetDateTime.parse(line.get("time").asText()));
        if (line.hasNonNull("data")) builder.withData(bytes(line, "data"));
        Iterator<Map.Entry<String, JsonNode>> extensions = line.path("extensions").fields();
        while (extensions.hasNext()) {
            Map.Entry<String, JsonNode> extension = extensions.next();
            builder.withExtension(extension.getKey(), extension.getValue().asText());
        }
        return builder.build();
    }

    private static CloudEventSerializer serializer(Encoding encoding) {
        Map<String, Object> options = new HashMap<>();
        options.put(CloudEventSerializer.ENCODING_CONFIG, encoding);
        if (encoding == Encoding.STRUCTURED)
            options.put(CloudEventSerializer.EVENT_FORMAT_CONFIG, "application/cloudevents+json");
        CloudEventSerializer serializer = new CloudEventSerializer();
        serializer.configure(options, false);
        return serializer;
    }

    private static ProducerRecord<byte[], byte[]> record(JsonNode line) throws Exception {
        String topic = line.get("topic").asText(), mode = line.path("mode").asText("plain");
        ProducerRecord<byte[], byte[]> from = new ProducerRecord<>(topic, bytes(line, "key"), bytes(line, "value"));
        for (JsonNode header : line.path("headers"))
            from.headers().add(header.get("name").asText(), bytes(header, "value"));
        if (mode.equals("plain")) return from;
        Encoding encoding = mode.equals("binary") ? Encoding.BINARY : Encoding.STRUCTURED;
        byte[] value = serializer(encoding).serialize(topic, from.headers(), event(line));
        return new ProducerRecord<>(topic, null, bytes(line, "key"), value, from.headers());
    }

    private static void produce(Map<String, Object> options) throws Exception {
        List<Future<RecordMetadata>> results = new ArrayList<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        options.put("key.serializer", ByteArraySerializer.class);
        options.put("value.serializer", ByteArraySerializer.class);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(options)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine())
                results.add(producer.send(record(JSON.readTree(line))));
            for (Future<RecordMetadata> result : results) {
                ObjectNode place = JSON.createObjectNode();
                place.put("partition", result.get().partition()).put("offset", result.get().offset());
                OUT.println(place);
            }
        }
    }

    private static void describe(ObjectNode line, ConsumerRecord<byte[], byte[]> record) {
        CloudEvent event = new CloudEventDeserializer().deserialize(record.topic(), record.headers(), record.value());
        if (event == null) throw new IllegalStateException("the SDK gives null");
        line.put("id", event.getId()).put("source", event.getSource().toString()).put("type", event.getType());
        if (event.getSubject() != null) line.put("subject", event.getSubject());
        if (event.getDataSchema() != null) line.put("dataschema", event.getDataSchema().toString());
        if (event.getDataContentType() != null) line.put("datacontenttype", event.getDataContentType());
        if (event.getTime() != null) line.put("time", event.getTime().toString());
        ObjectNode extensions = line.putObject("extensions");
        for (String name : event.getExtensionNames()) extensions.put(name, event.getExtension(name).toString());
        if (event.getData() != null) line.put("data", event.getData().toBytes());
    }

    private static void print(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode line = JSON.createObjectNode();
        line.put("topic", record.topic());
        if (record.key() != null) line.put("key", record.key());
        if (record.value() != null) line.put("value", record.value());
        var headers = line.putArray("headers");
        for (Header header : record.headers()) {
            ObjectNode to = headers.addObject().put("name", header.key());
            if (header.value() != null) to.put("value", header.value());
        }
        try {
            describe(line, record);
        } catch (Exception error) { // whatever it is: it is what a user would get
            line.put("error", error.getClass().getSimpleName() + ": " + error.getMessage());
        }
        OUT.println(line);
    }

    private static void consume(Map<String, Object> options, String topic, int count) {
        options.put("key.deserializer", ByteArrayDeserializer.class);
        options.put("value.deserializer", ByteArrayDeserializer.class);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(options)) {
            List<TopicPartition> partitions = new ArrayList<>();
            consumer.partitionsFor(topic).forEach(info -> partitions.add(new TopicPartition(topic, info.partition())));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            for (int empty = 0; count > 0 && empty < 60;) {
                var records = consumer.poll(Duration.ofSeconds(1));
                empty += records.isEmpty() ? 1 : 0;
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    print(record);
                    count--;
                }
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> options = new HashMap<>();
        options.put("bootstrap.servers", arguments[1]);
        if (arguments[0].equals("produce")) produce(options);
        else consume(options, arguments[2], Integer.parseInt(arguments[3]));
        OUT.flush();
    }
}
