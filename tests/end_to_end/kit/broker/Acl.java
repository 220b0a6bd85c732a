// Denies user mattebox an operation on a topic, or takes that back:
// java -cp KAFKA_JARS Acl.java BOOTSTRAP deny|allow TOPIC OPERATION
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.resource.*;

class Acl {
    public static void main(String[] a) throws Exception {
        var props = new Properties();
        props.put("bootstrap.servers", a[0]);
        var pattern = new ResourcePattern(ResourceType.TOPIC, a[2], PatternType.LITERAL);
        var operation = AclOperation.valueOf(a[3]);
        var entry = new AccessControlEntry(
            "User:mattebox", "*", operation, AclPermissionType.DENY);
        var binding = new AclBinding(pattern, entry);
        try (var admin = Admin.create(props)) {
            if (a[1].equals("deny")) admin.createAcls(List.of(binding)).all().get();
            else admin.deleteAcls(List.of(binding.toFilter())).all().get();
        }
    }
}
