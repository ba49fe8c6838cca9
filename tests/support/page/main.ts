/** The page as it is, over the toy workers (see vite.config.ts beside this). */
import '../../../src/main';
