import io.strimzi.kafka.oauth.server.OAuthKafkaPrincipal;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.kafka.metadata.authorizer.StandardAuthorizer;
import org.apache.kafka.server.authorizer.Action;
import org.apache.kafka.server.authorizer.AuthorizableRequestContext;
import org.apache.kafka.server.authorizer.AuthorizationResult;

/** Kafka's authorizer, which besides keeps a topic `group-NAME` for those in the group NAME. */
public final class GroupAuthorizer extends StandardAuthorizer {
    private static final String PREFIX = "group-";

    @Override
    public List<AuthorizationResult> authorize(AuthorizableRequestContext context, List<Action> actions) {
        var results = new ArrayList<>(super.authorize(context, actions));
        if (context.principal() instanceof OAuthKafkaPrincipal principal) {
            Set<String> groups = principal.getGroups() == null ? Set.of() : principal.getGroups();
            for (int place = 0; place < results.size(); place++) {
                String name = actions.get(place).resourcePattern().name();
                if (name.startsWith(PREFIX) && !groups.contains(name.substring(PREFIX.length()))) {
                    results.set(place, AuthorizationResult.DENIED);
                }
            }
        }
        return results;
    }
}
