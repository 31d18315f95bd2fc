// The console's one script entry: small modules, each of which only listens on the document, so
// that content swapped in by htmx needs no setting up.
import "./overlays.js";
import "./notices.js";
import "./palette.js";
import "./keys.js";
import "./forms.js";
import "./tree.js";
import "./trace.js";
import "./time.js";
import "./regions.js";
import "./live.js";
